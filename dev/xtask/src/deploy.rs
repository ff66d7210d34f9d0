//! `cargo xtask deploy`: builds everything and deploys it to AWS, or shows what that would change.
//!
//! The order keeps every moment safe. The programs are built first: what does not compile changes
//! nothing. Where there is no stack yet, its proposal is made and discarded, so that bad parameters are
//! refused before a registry costs anything. The image's registry and, where it must be in another
//! region, the CDN's firewall have stacks of their own, because the main one needs what they give. Then
//! the main stack's change is proposed. Only after `CloudFormation` has accepted that does the database
//! move: the function of the migrations gets the proposed code ahead of everything else and runs.
//! Migrations go forward only and are safe for the code of before, which serves meanwhile, and is what is
//! left if anything later fails. The proposal is done last. The functions' aliases shift bit by bit and
//! go back when their alarms rise, and `CloudFormation` undoes the whole if any part fails. On the first
//! deployment there is no database before the stack, so the migrations run after it.

mod aws;
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
    aws::Aws,
    functions::Processor,
    settings::{Settings, USUAL_SECTION},
    smoke::Site,
    stack::{ChangeSet, Known, Stack, table},
};
use crate::{
    prerequisites, process::Processes, progress::step, sbom, tools::Tools, workspace::Workspace,
};

/// Where CloudFront looks for its firewall, wherever else the shop is.
const FIREWALL_REGION: &str = "us-east-1";

/// SAM's own configuration, and so ours.
const USUAL_FILE: &str = "samconfig.toml";

/// The output that names the function of the migrations.
const MIGRATIONS: &str = "MigrationsFunction";

/// What is deployed where.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The stack, whose name all other names begin with; else samconfig.toml's, else cauce.
    #[arg(long)]
    stack: Option<String>,
    /// The section of samconfig.toml to use, such as production.
    #[arg(long, value_name = "SECTION", default_value = USUAL_SECTION)]
    config_env: String,
    /// SAM's configuration: the stack's name, region and parameters.
    #[arg(long, value_name = "FILE", default_value = USUAL_FILE)]
    config_file: PathBuf,
    /// A parameter of template.yaml. Without a value, it has that of the environment variable of the same
    /// name, which no list of processes shows. What is given nowhere stays as it was.
    #[arg(long = "parameter", value_name = "NAME[=VALUE]")]
    parameters: Vec<String>,
    /// The region; else samconfig.toml's, else that of `AWS_REGION`.
    #[arg(long)]
    region: Option<String>,
    /// Whose credentials to use; else samconfig.toml's profile, else those of the environment.
    #[arg(long)]
    profile: Option<String>,
    /// The frontend's image, by its digest, instead of one that is built and pushed now.
    #[arg(long, value_name = "URI")]
    frontend_image: Option<String>,
    /// Deploy the programs that are in target/lambda already.
    #[arg(long)]
    skip_build: bool,
    /// Show what would change, and change nothing. Templates and programs are uploaded to SAM's bucket.
    #[arg(long)]
    dry_run: bool,
}

/// A deployment under way.
struct Deployment<'a> {
    settings: Settings,
    aws: Aws<'a>,
    processes: &'a Processes,
    home: &'a Path,
    configuration: Option<(PathBuf, String)>,
    account: String,
    /// What there was before.
    before: Option<Known>,
    /// The size that it has in the end.
    size: String,
}

/// Deploys, or shows what that would change.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    prerequisites::check()?;
    let workspace = Workspace::find()?;
    let file = workspace.root.join(&options.config_file);
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
    let aws = Aws {
        tools: &tools,
        workspace: &workspace,
        region: settings.region.clone(),
        profile: settings.profile.clone(),
    };
    let mut deployment = Deployment {
        account: aws.account()?,
        settings,
        aws,
        processes: &processes,
        home: &home,
        configuration: configuration.map(|_| (file, options.config_env.clone())),
        before: None,
        size: String::new(),
    };
    deployment.look(declared["Size"])?;
    let templates = template::all(&workspace.root)?;
    deployment.build(options, &template::programs(&templates))?;
    if options.dry_run {
        return deployment.show();
    }
    let files = step("what the release is made of", || {
        sbom::write(&workspace, &processes)
    })?;
    for file in files {
        eprintln!("          {}", file.display());
    }
    deployment.deploy(&command(&deployment.settings, options))
}

impl<'a> Deployment<'a> {
    /// Finds out what there is, and refuses what can't go well.
    fn look(&mut self, usual_size: Option<&str>) -> anyhow::Result<()> {
        let main = self.main();
        let before = main.known()?;
        if let Some(before) = &before {
            main.check(before)?;
        }
        let given = self.settings.parameters.get("Size").map(String::as_str);
        let kept = before.as_ref().and_then(|before| before.parameter("Size"));
        let size = given.or(kept).or(usual_size);
        self.size = size.context("The parameter Size is missing")?.to_owned();
        self.before = before;
        ensure!(
            !self.is_laptop() || aws::emulator().is_some(),
            "Size laptop is for an emulator: set AWS_ENDPOINT_URL to it, or choose another size"
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

    /// Shows what would change in each stack.
    fn show(&self) -> anyhow::Result<()> {
        let mut shown = Vec::new();
        let main = (self.main(), self.rehearsed()?);
        for (stack, parameters) in self.others().into_iter().chain([main]) {
            let region = &stack.aws.region;
            let title = format!("{} in {region}", stack.name);
            let change_set = step(&format!("propose the change of {title}"), || {
                stack.propose(&parameters)
            })?;
            let Some(change_set) = change_set else {
                shown.push(format!("{title}: nothing changes\n"));
                continue;
            };
            let changes = stack.changes(&change_set);
            stack.discard(&change_set)?;
            shown.push(format!("{title}:\n{}\n", table(&changes?)));
        }
        println!("\n{}", shown.join("\n"));
        if self.builds_image() {
            println!("The frontend's image is not built now, and is shown as if it had changed.");
        }
        println!("Nothing was changed.");
        Ok(())
    }

    fn deploy(&self, command: &str) -> anyhow::Result<()> {
        let main = self.main();
        if self.before.is_none() {
            step("check the templates and parameters", || {
                let proposed = main.propose(&self.rehearsed()?)?;
                proposed.map_or(Ok(()), |proposed| main.discard(&proposed))
            })?;
        }
        let parameters = self.parameters()?;
        let proposed = step(&format!("propose the change of {}", main.name), || {
            main.propose(&parameters)
        })?;
        let ahead = self.before.as_ref();
        let ahead = ahead.and_then(|before| before.output(MIGRATIONS).ok());
        if let Some((proposed, function)) = proposed.as_ref().zip(ahead) {
            self.migrate_ahead(&main, proposed, function)?;
        }
        if let Some(proposed) = &proposed {
            step(&format!("stack {}", main.name), || main.execute(proposed))?;
        }
        let after = main.known()?.context("the stack is gone")?;
        if ahead.is_none() || proposed.is_none() {
            step("database migrations", || {
                functions::migrate(&self.aws, after.output(MIGRATIONS)?)
            })?;
        }
        let emulator = self.is_laptop().then(aws::emulator).flatten();
        let site = Site::new(after.output("SiteHost")?, emulator);
        let back = way_back(self.aws.workspace, command);
        step("smoke test, through the CDN", || site.answers())
            .with_context(|| format!("It is deployed, but not well.\n\n{back}\n"))?;
        println!("{}\n\n{back}", addresses(&site.url, &after));
        Ok(())
    }

    fn migrate_ahead(
        &self,
        main: &Stack,
        proposed: &ChangeSet,
        function: &str,
    ) -> anyhow::Result<()> {
        let migrated = step("database migrations, ahead of the code", || {
            functions::bring_migrations(main, proposed, function)?;
            functions::migrate(&self.aws, function)
        });
        if migrated.is_err() {
            main.discard(proposed)?;
        }
        migrated
    }

    /// The main stack's parameters, after what they name has been made.
    fn parameters(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let mut parameters = self.settings.parameters.clone();
        if self.builds_image() {
            let (registry, given) = self.registry();
            let made = step("the images' registry", || make(&registry, &given))?;
            let repository = made.output("Repository")?;
            let image = step("build and push the frontend's image", || {
                image::build_and_push(&self.aws, self.processes, repository)
            })?;
            parameters.insert("FrontendImage".to_owned(), image);
        }
        if self.has_firewall_elsewhere() {
            let (firewall, given) = self.firewall();
            let made = step("the CDN's firewall", || make(&firewall, &given))?;
            let acl = made.output("WebAcl")?;
            parameters.insert("WebAclArn".to_owned(), acl.to_owned());
        }
        Ok(parameters)
    }

    /// The main stack's parameters, with something in the place of what is not made yet.
    fn rehearsed(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let Settings { stack, region, .. } = &self.settings;
        let account = &self.account;
        let mut parameters = self.settings.parameters.clone();
        if self.builds_image() {
            let digest = "0".repeat(64);
            let image = format!("{account}.dkr.ecr.{region}.amazonaws.com/{stack}@sha256:{digest}");
            parameters.insert("FrontendImage".to_owned(), image);
        }
        if self.has_firewall_elsewhere() {
            let known = self.firewall().0.known()?;
            let acl = known.and_then(|known| Some(known.output("WebAcl").ok()?.to_owned()));
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

    /// The stacks that the main one needs, with their parameters.
    fn others(&self) -> Vec<(Stack<'a>, BTreeMap<String, String>)> {
        let registry = self.builds_image().then(|| self.registry());
        let firewall = self.has_firewall_elsewhere().then(|| self.firewall());
        registry.into_iter().chain(firewall).collect()
    }

    fn registry(&self) -> (Stack<'a>, BTreeMap<String, String>) {
        let region = &self.settings.region;
        let stack = self.stack("-registry", "infra/registry.yaml", region);
        (stack, self.named([]))
    }

    fn firewall(&self) -> (Stack<'a>, BTreeMap<String, String>) {
        let stack = self.stack("-waf", "infra/waf.yaml", FIREWALL_REGION);
        (stack, self.named([("Size", &self.size)]))
    }

    fn named<const N: usize>(&self, others: [(&str, &str); N]) -> BTreeMap<String, String> {
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

/// Changes a stack, or creates it, and gives what is known of it then.
fn make(stack: &Stack, parameters: &BTreeMap<String, String>) -> anyhow::Result<Known> {
    if let Some(before) = stack.known()? {
        stack.check(&before)?;
    }
    if let Some(proposed) = stack.propose(parameters)? {
        stack.execute(&proposed)?;
    }
    stack.known()?.context("the stack is gone")
}

/// The command that does the same again, without what stays as it was.
fn command(settings: &Settings, options: &Options) -> String {
    let Settings {
        stack,
        region,
        profile,
        ..
    } = settings;
    let command = format!("cargo xtask deploy --stack {stack} --region {region}");
    let file = options.config_file.display().to_string();
    let others = [
        ("profile", profile.as_deref().unwrap_or_default(), ""),
        ("config-file", &file, USUAL_FILE),
        ("config-env", &options.config_env, USUAL_SECTION),
    ];
    let unusual = others.iter().filter(|(_, value, usual)| value != usual);
    let unusual = unusual.map(|(option, value, _)| format!(" --{option} {value}"));
    [command].into_iter().chain(unusual).collect()
}

/// How to go back to the version before, which git may know by its tag.
fn way_back(workspace: &Workspace, command: &str) -> String {
    let mut git = Command::new("git");
    git.args(["describe", "--tags", "--abbrev=0", "HEAD^"])
        .current_dir(&workspace.root);
    let output = git.output().ok().filter(|output| output.status.success());
    let tag = output.and_then(|output| String::from_utf8(output.stdout).ok());
    let version = tag.as_deref().map_or("<the tag before>", str::trim);
    format!(
        "  Back to the version before, which runs on this database, too:\n  \
           git checkout {version} && {command}"
    )
}

/// Where everything is, for people.
fn addresses(site: &str, stack: &Known) -> String {
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
    fn the_way_back_names_what_cannot_be_known_otherwise() -> anyhow::Result<()> {
        let told = |arguments: &[&str], file| -> anyhow::Result<String> {
            let options = options(arguments);
            let settings = Settings::choose(&options, file, |_| None)?;
            Ok(command(&settings, &options))
        };
        assert_eq!(
            told(
                &["--region", "eu-west-1", "--parameter", "PaymentsKey=sk"],
                None
            )?,
            "cargo xtask deploy --stack cauce --region eu-west-1"
        );
        let file = "[live.deploy.parameters]\nstack_name = 'desk'\nregion = 'eu-west-1'\nprofile = 'shop'\n";
        assert_eq!(
            told(&["--config-env", "live"], Some(file))?,
            "cargo xtask deploy --stack desk --region eu-west-1 --profile shop --config-env live"
        );
        Ok(())
    }
}
