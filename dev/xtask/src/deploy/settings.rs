//! The settings of a deployment: from flags, samconfig.toml and the environment, in this order.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use toml::{Table, Value};

use super::{Options, Target};
use crate::{aws::Aws, tools::Tools, workspace::Workspace};

/// The default name of the stack.
const DEFAULT_STACK: &str = "cauce";

/// The default section of samconfig.toml. It may be missing.
pub(super) const DEFAULT_SECTION: &str = "default";

/// The settings of a deployment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) stack: String,
    pub(super) region: String,
    pub(super) profile: Option<String>,
    /// The parameters of template.yaml that are given. The others keep their values.
    pub(super) parameters: BTreeMap<String, String>,
}

impl Settings {
    /// Combines all sources. `file` is the text of samconfig.toml, if it exists.
    pub(super) fn choose(
        options: &Options,
        file: Option<&str>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let mut settings = Self::of(&options.target, file, &environment)?;
        for given in &options.parameters {
            let (name, value) = parse_parameter(given, &environment)?;
            settings.parameters.insert(name.to_owned(), value);
        }
        if let Some(image) = &options.frontend_image {
            let name = "FrontendImage".to_owned();
            settings.parameters.insert(name, image.clone());
        }
        Ok(settings)
    }

    /// The same, with the parameters of the file alone.
    pub(super) fn of(
        target: &Target,
        file: Option<&str>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let file: Table = file
            .unwrap_or_default()
            .parse()
            .context("cannot parse samconfig.toml")?;
        let section = Section::find(&file, &target.config_env)?;
        let default_region = || {
            let variables = ["AWS_REGION", "AWS_DEFAULT_REGION"];
            variables.into_iter().find_map(&environment)
        };
        Ok(Self {
            stack: target
                .stack
                .clone()
                .or_else(|| section.text("stack_name"))
                .unwrap_or_else(|| DEFAULT_STACK.to_owned()),
            region: target
                .region
                .clone()
                .or_else(|| section.text("region"))
                .or_else(default_region)
                .context("The region is missing: pass --region, or set AWS_REGION")?,
            profile: target.profile.clone().or_else(|| section.text("profile")),
            parameters: section.parameters()?,
        })
    }

    /// AWS in the region, with the profile's credentials.
    pub(super) fn aws<'a>(&self, workspace: &'a Workspace, tools: &'a Tools) -> Aws<'a> {
        Aws {
            tools,
            workspace,
            region: self.region.clone(),
            profile: self.profile.clone(),
            emulator: None,
        }
    }
}

/// A section of samconfig.toml: the tables that apply to `deploy`, most specific first.
struct Section<'a>(Vec<&'a Table>);

impl<'a> Section<'a> {
    fn find(file: &'a Table, environment: &str) -> anyhow::Result<Self> {
        let section = file.get(environment);
        ensure!(
            section.is_some() || environment == DEFAULT_SECTION,
            "samconfig.toml has no section {environment}"
        );
        // As in SAM: the table of the command goes before the global one.
        let commands = ["deploy", "global"].into_iter();
        let tables = commands.filter_map(|command| section?.get(command)?.get("parameters"));
        Ok(Self(tables.filter_map(Value::as_table).collect()))
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.iter().find_map(|table| table.get(name))
    }

    fn text(&self, name: &str) -> Option<String> {
        Some(self.get(name)?.as_str()?.to_owned())
    }

    fn parameters(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let Some(given) = self.get("parameter_overrides") else {
            return Ok(BTreeMap::new());
        };
        let table = given.as_table().context(
            "Write parameter_overrides in samconfig.toml as a table: { Size = \"small\", Zones = \"3\" }",
        )?;
        let parameters = table.iter();
        parameters
            .map(|(name, value)| Ok((name.clone(), value_text(name, value)?)))
            .collect()
    }
}

fn value_text(name: &str, value: &Value) -> anyhow::Result<String> {
    Ok(match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(boolean) => boolean.to_string(),
        _ => bail!(
            "The parameter {name} in samconfig.toml must be a string, an integer or a boolean"
        ),
    })
}

/// A parameter of the command line: `NAME=VALUE`, or `NAME` with the value in the environment.
fn parse_parameter(
    given: &str,
    environment: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<(&str, String)> {
    if let Some((name, value)) = given.split_once('=') {
        return Ok((name, value.to_owned()));
    }
    let value = environment(given).with_context(|| {
        format!("The parameter {given} has no value: write {given}=…, or set the environment variable {given}")
    })?;
    Ok((given, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        version = 0.1
        [default.global.parameters]
        region = "eu-west-1"
        [production.global.parameters]
        region = "eu-central-1"
        profile = "shop"
        [production.deploy.parameters]
        stack_name = "desk"
        parameter_overrides = { Size = "small", OrderDeadlineHours = 48, AlarmEmail = "a@b.example" }
        [guided.deploy.parameters]
        parameter_overrides = "Size=\"small\""
    "#;

    fn options(environment: &str, parameters: &[&str]) -> Options {
        Options {
            target: Target {
                stack: None,
                config_env: environment.to_owned(),
                config_file: "samconfig.toml".into(),
                region: None,
                profile: None,
            },
            parameters: parameters.iter().map(ToString::to_string).collect(),
            frontend_image: None,
            skip_build: false,
            dry_run: false,
        }
    }

    fn choose(options: &Options) -> anyhow::Result<Settings> {
        let variables = [("PaymentsKey", "sk_1"), ("AWS_REGION", "us-west-2")];
        let variables = BTreeMap::from(variables);
        Settings::choose(options, Some(FILE), |name| {
            variables.get(name).map(ToString::to_string)
        })
    }

    #[test]
    fn the_file_completes_the_flags() -> anyhow::Result<()> {
        let options = options("production", &["Size=large", "PaymentsKey", "Runbooks=a=b"]);
        let Settings {
            stack,
            region,
            profile,
            parameters,
        } = choose(&options)?;
        assert_eq!((stack.as_str(), region.as_str()), ("desk", "eu-central-1"));
        assert_eq!(profile.as_deref(), Some("shop"));
        let expected = [
            ("AlarmEmail", "a@b.example"),
            ("OrderDeadlineHours", "48"),
            ("PaymentsKey", "sk_1"),
            ("Runbooks", "a=b"),
            ("Size", "large"),
        ];
        let parameters: Vec<_> = parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(parameters, expected);
        Ok(())
    }

    #[test]
    fn flags_take_precedence_and_the_environment_comes_last() -> anyhow::Result<()> {
        let mut options = options(DEFAULT_SECTION, &[]);
        assert_eq!(choose(&options)?.region, "eu-west-1");
        assert_eq!(choose(&options)?.stack, DEFAULT_STACK);
        options.target.region = Some("eu-north-1".to_owned());
        options.target.stack = Some("other".to_owned());
        options.frontend_image = Some("an-image".to_owned());
        let chosen = choose(&options)?;
        assert_eq!(
            (chosen.region.as_str(), chosen.stack.as_str()),
            ("eu-north-1", "other")
        );
        assert_eq!(chosen.parameters["FrontendImage"], "an-image");
        let without_file = Settings::choose(&self::options(DEFAULT_SECTION, &[]), None, |name| {
            (name == "AWS_DEFAULT_REGION").then(|| "sa-east-1".to_owned())
        })?;
        assert_eq!(without_file.region, "sa-east-1");
        Ok(())
    }

    #[test]
    fn an_error_names_the_missing_setting() {
        let refusal = |options| choose(&options).map_err(|error| format!("{error:#}")).err();
        assert_eq!(
            refusal(options("staging", &[])).as_deref(),
            Some("samconfig.toml has no section staging")
        );
        let no_value = refusal(options("production", &["ShippingKey"]));
        assert!(no_value.is_some_and(|text| text.contains("the environment variable ShippingKey")));
        let guided = refusal(options("guided", &[]));
        assert!(guided.is_some_and(|text| text.contains("as a table")));
        let nowhere = Settings::choose(&options(DEFAULT_SECTION, &[]), None, |_| None);
        assert!(nowhere.is_err());
    }
}
