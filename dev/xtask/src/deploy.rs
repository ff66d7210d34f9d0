//! `cargo xtask deploy`: builds everything and deploys it to AWS, or shows what would change.
//!
//! The order of the steps makes each of them safe to fail:
//!
//! 1. Build the programs.
//! 2. If there is no stack yet, create its change set and discard it. So bad parameters are refused
//!    before a registry costs anything.
//! 3. Deploy the stacks that the main one depends on: the image registry and, if the shop is in
//!    another region, the CDN's firewall.
//! 4. Create the main stack's change set.
//! 5. Migrate the database: deploy the new code of the migrations function only, and invoke it. The
//!    old code keeps serving: migrations are forward only and safe for it, also if a later step
//!    fails.
//! 6. Execute the change set. The functions' aliases shift traffic gradually and roll back on an
//!    alarm. `CloudFormation` rolls back the whole change if any part of it fails.
//!
//! On the first deployment the database comes with the stack, so the migrations run after step 6.

mod functions;
mod image;
mod settings;
mod smoke;
mod stack;
mod template;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail, ensure};
use clap::Args;

use self::{
    functions::Processor,
    settings::{DEFAULT_SECTION, Settings},
    smoke::{Site, site_url},
    stack::{ChangeSet, Stack, StackState, table},
};
use crate::{
    aws::{self, Aws},
    prerequisites,
    process::Processes,
    progress::step,
    sbom,
    tools::Tools,
    workspace::Workspace,
};

/// The region of CloudFront's web ACLs.
const FIREWALL_REGION: &str = "us-east-1";

/// SAM's configuration file, which is also ours.
const DEFAULT_FILE: &str = "samconfig.toml";

/// The output with the name of the migrations function.
const MIGRATIONS: &str = "MigrationsFunction";

/// The stack at AWS that a command is about.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// The stack's name, and the prefix of all names. Default: that of samconfig.toml, else cauce.
    #[arg(long)]
    stack: Option<String>,
    /// The section of samconfig.toml to use, such as production.
    #[arg(long, value_name = "SECTION", default_value = DEFAULT_SECTION)]
    config_env: String,
    /// SAM's configuration: the stack's name, region and parameters.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config_file: PathBuf,
    /// The region. Default: that of samconfig.toml, else `AWS_REGION`.
    #[arg(long)]
    region: Option<String>,
    /// The AWS profile. Default: that of samconfig.toml, else the credentials of the environment.
    #[arg(long)]
    profile: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: Target,
    /// A parameter of template.yaml. Without =VALUE, its value is read from the environment
    /// variable of the same name, so that secrets do not appear in process lists. Parameters that
    /// are not given keep their current values.
    #[arg(long = "parameter", value_name = "NAME[=VALUE]")]
    parameters: Vec<String>,
    /// Use this image of the frontend, by its digest, instead of building and pushing one.
    #[arg(long, value_name = "URI")]
    frontend_image: Option<String>,
    /// Deploy the programs that are already in target/lambda.
    #[arg(long)]
    skip_build: bool,
    /// Show what would change, without changing it. Uploads templates and programs to SAM's bucket.
    #[arg(long)]
    dry_run: bool,
}

/// A deployed shop.
pub(crate) struct Shop<'a> {
    pub(crate) aws: Aws<'a>,
    /// Its address for visitors.
    pub(crate) url: String,
    pub(crate) user_pool_id: String,
}

impl Target {
    /// Finds the shop that the stack runs.
    pub(crate) fn find_shop<'a>(
        &self,
        workspace: &'a Workspace,
        tools: &'a Tools,
    ) -> anyhow::Result<Shop<'a>> {
        let configuration = fs::read_to_string(workspace.root.join(&self.config_file)).ok();
        let settings = Settings::of(self, configuration.as_deref(), |name| env::var(name).ok())?;
        let aws = settings.aws(workspace, tools);
        aws.account()?;
        let state = StackState::find(&aws, &settings.stack)?;
        let state = state.with_context(|| {
            let (stack, region) = (&settings.stack, &aws.region);
            format!("There is no stack {stack} in {region}: deploy it first, or pass --stack and --region")
        })?;
        Ok(Shop {
            url: site_url(state.output("SiteHost")?, aws::emulator().as_deref()),
            user_pool_id: state.output("UserPoolId")?.to_owned(),
            aws,
        })
    }
}

/// A deployment in progress.
struct Deployment<'a> {
    settings: Settings,
    aws: Aws<'a>,
    processes: &'a Processes,
    home: &'a Path,
    configuration: Option<(PathBuf, String)>,
    account: String,
    /// The main stack before the deployment, if it exists.
    before: Option<StackState>,
    /// The parameter `Size` after the deployment.
    size: String,
}

/// Deploys, or shows what would change.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    prerequisites::check()?;
    let workspace = Workspace::find()?;
    let target = &options.target;
    let file = workspace.root.join(&target.config_file);
    let configuration = fs::read_to_string(&file).ok();
    let settings = Settings::choose(options, configuration.as_deref(), |name| {
        env::var(name).ok()
    })?;
    let template = fs::read_to_string(workspace.root.join("template.yaml"))?;
    let declared = template::parameters(&template);
    for name in settings.parameters.keys() {
        ensure!(
            declared.contains_key(name.as_str()),
            "template.yaml has no parameter {name}"
        );
    }

    let home = workspace.dev("deploy");
    let _lock = workspace.lock("deploy")?;
    let processes = Processes::new(&home)?;
    let tools = Tools::set_up(&workspace, &processes)?;
    let aws = settings.aws(&workspace, &tools);
    let mut deployment = Deployment {
        account: aws.account()?,
        settings,
        aws,
        processes: &processes,
        home: &home,
        configuration: configuration.map(|_| (file, target.config_env.clone())),
        before: None,
        size: String::new(),
    };
    deployment.inspect(declared["Size"])?;
    let templates = template::all(&workspace.root)?;
    deployment.build(options, &template::programs(&templates))?;
    if options.dry_run {
        return deployment.show_changes();
    }
    let files = step("software bill of materials", || {
        sbom::write(&workspace, &processes)
    })?;
    for file in files {
        eprintln!("          {}", file.display());
    }
    deployment.deploy(&deploy_command(&deployment.settings, options))
}

impl<'a> Deployment<'a> {
    /// Reads the current stack. Returns an error if it cannot be deployed to.
    fn inspect(&mut self, default_size: Option<&str>) -> anyhow::Result<()> {
        let main = self.main();
        let before = main.state()?;
        if let Some(before) = &before {
            main.check(before)?;
        }
        let given = self.settings.parameters.get("Size").map(String::as_str);
        let current = before.as_ref().and_then(|before| before.parameter("Size"));
        let size = given.or(current).or(default_size);
        self.size = size.context("The parameter Size is missing")?.to_owned();
        self.before = before;
        ensure!(
            !self.is_laptop() || aws::emulator().is_some(),
            "Size laptop requires an emulator: set AWS_ENDPOINT_URL, or choose another size"
        );
        eprintln!(
            "          stack {}, size {}, account {}, region {}",
            self.settings.stack, self.size, self.account, self.settings.region
        );
        Ok(())
    }

    fn build(&self, options: &Options, programs: &[&str]) -> anyhow::Result<()> {
        let processor = if self.is_laptop() {
            Processor::Own
        } else {
            Processor::Arm64
        };
        let toolchain = (!options.skip_build).then(|| processor.missing());
        let docker = (self.builds_image() && !options.dry_run).then(image::missing);
        let missing: Vec<&str> = [toolchain, docker]
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        if !missing.is_empty() {
            bail!("{}", missing.join("\n"));
        }
        let Aws {
            workspace, tools, ..
        } = self.aws;
        if !options.skip_build {
            step("build the functions", || {
                functions::build(workspace, tools, self.processes, programs, processor)
            })?;
        }
        functions::check(workspace, programs, processor)
    }

    /// Prints what would change in each stack.
    fn show_changes(&self) -> anyhow::Result<()> {
        let mut texts = Vec::new();
        let main = (self.main(), self.parameters_with_placeholders()?);
        for (stack, parameters) in self.dependencies().into_iter().chain([main]) {
            let region = &stack.aws.region;
            let title = format!("{} in {region}", stack.name);
            let change_set = step(&format!("create the change set of {title}"), || {
                stack.propose(&parameters)
            })?;
            let Some(change_set) = change_set else {
                texts.push(format!("{title}: no changes\n"));
                continue;
            };
            let changes = stack.changes(&change_set);
            stack.discard(&change_set)?;
            texts.push(format!("{title}:\n{}\n", table(&changes?)));
        }
        println!("\n{}", texts.join("\n"));
        if self.builds_image() {
            println!("The frontend's image was not built, and is always shown as changed.");
        }
        println!("Nothing was changed.");
        Ok(())
    }

    fn deploy(&self, command: &str) -> anyhow::Result<()> {
        let main = self.main();
        if self.before.is_none() {
            step("check the templates and parameters", || {
                let proposed = main.propose(&self.parameters_with_placeholders()?)?;
                proposed.map_or(Ok(()), |proposed| main.discard(&proposed))
            })?;
        }
        let parameters = self.parameters()?;
        let proposed = step(&format!("create the change set of {}", main.name), || {
            main.propose(&parameters)
        })?;
        let before = self.before.as_ref();
        let existing = before.and_then(|before| before.output(MIGRATIONS).ok());
        if let Some((proposed, function)) = proposed.as_ref().zip(existing) {
            self.migrate_first(&main, proposed, function)?;
        }
        if let Some(proposed) = &proposed {
            step(&format!("stack {}", main.name), || main.execute(proposed))?;
        }
        let after = main.state()?.context("the stack does not exist any more")?;
        if existing.is_none() || proposed.is_none() {
            step("database migrations", || {
                functions::migrate(&self.aws, after.output(MIGRATIONS)?)
            })?;
        }
        let emulator = self.is_laptop().then(aws::emulator).flatten();
        let site = Site::new(after.output("SiteHost")?, emulator);
        let rollback = rollback_instructions(self.aws.workspace, command);
        step("smoke test through the CDN", || site.wait_until_healthy())
            .with_context(|| format!("Deployed, but the smoke test failed.\n\n{rollback}\n"))?;
        println!("{}\n\n{rollback}", addresses(&site.url, &after));
        Ok(())
    }

    /// Migrates the database before the change set is executed. Discards it on failure.
    fn migrate_first(
        &self,
        main: &Stack,
        proposed: &ChangeSet,
        function: &str,
    ) -> anyhow::Result<()> {
        let migrated = step("database migrations, before the code", || {
            functions::update_migrations_code(main, proposed, function)?;
            functions::migrate(&self.aws, function)
        });
        if migrated.is_err() {
            main.discard(proposed)?;
        }
        migrated
    }

    /// The main stack's parameters. Builds the image and deploys the stacks that they refer to.
    fn parameters(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let mut parameters = self.settings.parameters.clone();
        if self.builds_image() {
            let (registry, given) = self.registry();
            let registry = step("image registry", || create_or_update(&registry, &given))?;
            let repository = registry.output("Repository")?;
            let image = step("build and push the frontend's image", || {
                image::build_and_push(&self.aws, self.processes, repository)
            })?;
            parameters.insert("FrontendImage".to_owned(), image);
        }
        if self.has_firewall_elsewhere() {
            let (firewall, given) = self.firewall();
            let firewall = step("the CDN's firewall", || create_or_update(&firewall, &given))?;
            let acl = firewall.output("WebAcl")?;
            parameters.insert("WebAclArn".to_owned(), acl.to_owned());
        }
        Ok(parameters)
    }

    /// The main stack's parameters, with placeholders for resources that do not exist yet.
    fn parameters_with_placeholders(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let Settings { stack, region, .. } = &self.settings;
        let account = &self.account;
        let mut parameters = self.settings.parameters.clone();
        if self.builds_image() {
            let digest = "0".repeat(64);
            let image = format!("{account}.dkr.ecr.{region}.amazonaws.com/{stack}@sha256:{digest}");
            parameters.insert("FrontendImage".to_owned(), image);
        }
        if self.has_firewall_elsewhere() {
            let state = self.firewall().0.state()?;
            let acl = state.and_then(|state| Some(state.output("WebAcl").ok()?.to_owned()));
            let acl = acl.unwrap_or_else(|| {
                format!("arn:aws:wafv2:{FIREWALL_REGION}:{account}:global/webacl/{stack}/0")
            });
            parameters.insert("WebAclArn".to_owned(), acl);
        }
        Ok(parameters)
    }

    fn main(&self) -> Stack<'a> {
        self.stack("", "template.yaml", &self.settings.region)
    }

    /// The stacks that the main one depends on, with their parameters.
    fn dependencies(&self) -> Vec<(Stack<'a>, BTreeMap<String, String>)> {
        let registry = self.builds_image().then(|| self.registry());
        let firewall = self.has_firewall_elsewhere().then(|| self.firewall());
        registry.into_iter().chain(firewall).collect()
    }

    fn registry(&self) -> (Stack<'a>, BTreeMap<String, String>) {
        let region = &self.settings.region;
        let stack = self.stack("-registry", "infra/registry.yaml", region);
        (stack, self.with_name([]))
    }

    fn firewall(&self) -> (Stack<'a>, BTreeMap<String, String>) {
        let stack = self.stack("-waf", "infra/waf.yaml", FIREWALL_REGION);
        (stack, self.with_name([("Size", &self.size)]))
    }

    /// These parameters and `Name`.
    fn with_name<const N: usize>(&self, others: [(&str, &str); N]) -> BTreeMap<String, String> {
        let parameters = [("Name", self.settings.stack.as_str())];
        let parameters = parameters.into_iter().chain(others);
        parameters
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn stack(&self, suffix: &str, template: &'static str, region: &str) -> Stack<'a> {
        Stack {
            aws: self.aws.in_region(region),
            processes: self.processes,
            home: self.home,
            name: format!("{}{suffix}", self.settings.stack),
            template,
            configuration: self.configuration.clone(),
        }
    }

    fn is_laptop(&self) -> bool {
        self.size == "laptop"
    }

    fn builds_image(&self) -> bool {
        !self.is_laptop() && !self.settings.parameters.contains_key("FrontendImage")
    }

    fn has_firewall_elsewhere(&self) -> bool {
        !self.is_laptop()
            && self.settings.region != FIREWALL_REGION
            && !self.settings.parameters.contains_key("WebAclArn")
    }
}

/// Creates or updates a stack. Returns its new state.
fn create_or_update(
    stack: &Stack,
    parameters: &BTreeMap<String, String>,
) -> anyhow::Result<StackState> {
    if let Some(before) = stack.state()? {
        stack.check(&before)?;
    }
    if let Some(proposed) = stack.propose(parameters)? {
        stack.execute(&proposed)?;
    }
    stack.state()?.context("the stack does not exist any more")
}

/// The command that deploys to the same stack again, without the parameters, which stay as they
/// are.
fn deploy_command(settings: &Settings, options: &Options) -> String {
    let Settings {
        stack,
        region,
        profile,
        ..
    } = settings;
    let command = format!("cargo xtask deploy --stack {stack} --region {region}");
    let file = options.target.config_file.display().to_string();
    let others = [
        ("profile", profile.as_deref().unwrap_or_default(), ""),
        ("config-file", &file, DEFAULT_FILE),
        ("config-env", &options.target.config_env, DEFAULT_SECTION),
    ];
    let set = others.iter().filter(|(_, value, default)| value != default);
    let set = set.map(|(option, value, _)| format!(" --{option} {value}"));
    [command].into_iter().chain(set).collect()
}

/// How to roll back to the previous version, by its git tag if there is one.
fn rollback_instructions(workspace: &Workspace, command: &str) -> String {
    let mut git = Command::new("git");
    git.args(["describe", "--tags", "--abbrev=0", "HEAD^"])
        .current_dir(&workspace.root);
    let output = git.output().ok().filter(|output| output.status.success());
    let tag = output.and_then(|output| String::from_utf8(output.stdout).ok());
    let version = tag.as_deref().map_or("<previous tag>", str::trim);
    format!(
        "  To roll back to the previous version, which works with this database:\n  \
           git checkout {version} && {command}"
    )
}

/// The addresses, for the output.
fn addresses(site: &str, stack: &StackState) -> String {
    let mut lines = vec![
        String::new(),
        format!("  shop                 {site}"),
        format!("  API                  {site}/api"),
        format!("  API document         {site}/api/openapi.json"),
        format!("  payments' webhooks   {site}/api/v1/webhooks/payments"),
        format!("  shipping's webhooks  {site}/api/v1/webhooks/shipping"),
    ];
    let image = stack.parameter("FrontendImage");
    if let Some(image) = image.filter(|image| !image.is_empty()) {
        lines.push(format!("  frontend's image     {image}"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Task {
        #[command(flatten)]
        options: Options,
    }

    fn options(arguments: &[&str]) -> Options {
        let arguments = ["deploy"].into_iter().chain(arguments.iter().copied());
        Task::parse_from(arguments).options
    }

    #[test]
    fn the_command_to_deploy_again_has_the_options_without_defaults() -> anyhow::Result<()> {
        let command_for = |arguments: &[&str], file| -> anyhow::Result<String> {
            let options = options(arguments);
            let settings = Settings::choose(&options, file, |_| None)?;
            Ok(deploy_command(&settings, &options))
        };
        assert_eq!(
            command_for(
                &["--region", "eu-west-1", "--parameter", "PaymentsKey=sk"],
                None
            )?,
            "cargo xtask deploy --stack cauce --region eu-west-1"
        );
        let file = "[live.deploy.parameters]\nstack_name = 'desk'\nregion = 'eu-west-1'\nprofile = 'shop'\n";
        assert_eq!(
            command_for(&["--config-env", "live"], Some(file))?,
            "cargo xtask deploy --stack desk --region eu-west-1 --profile shop --config-env live"
        );
        Ok(())
    }
}
