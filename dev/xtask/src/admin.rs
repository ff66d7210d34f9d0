//! `cargo xtask admin create`: makes a person an administrator of a shop, who then gives all other
//! roles at the shop's desk.

use std::{env, fs, path::PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    aws::Aws,
    deploy::{Shop, Target},
    prerequisites,
    process::Processes,
    stack::random_secret,
    tools::Tools,
    workspace::Workspace,
};

/// The group of administrators.
const GROUP: &str = "administrator";

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Creates an administrator, or makes an existing user one, with a new password.
    Create(Create),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The e-mail address.
    email: String,
    /// At AWS, in the stack that the other options name, instead of on this machine.
    #[arg(long)]
    cloud: bool,
    #[command(flatten)]
    target: Target,
}

/// The part of the description of the stack on this machine that is needed here.
#[derive(Deserialize)]
struct Description {
    site: String,
    aws: Emulated,
}

#[derive(Deserialize)]
struct Emulated {
    endpoint: String,
    region: String,
    user_pool_id: String,
}

pub(crate) fn run(task: &Task) -> anyhow::Result<()> {
    let Task::Create(options) = task;
    prerequisites::check()?;
    let workspace = Workspace::find()?;
    let processes = Processes::new(&workspace.dev("admin"))?;
    let tools = Tools::set_up(&workspace, &processes)?;
    let shop = if options.cloud {
        options.target.find_shop(&workspace, &tools)?
    } else {
        shop_on_this_machine(&workspace, &tools)?
    };
    let password = random_secret()?;
    let is_new = shop.create_administrator(&options.email, &password)?;
    println!(
        "{}",
        instructions(options, &shop.url, is_new.then_some(&password))
    );
    Ok(())
}

/// What to do next. `password` is none if the user was an administrator before.
fn instructions(options: &Create, url: &str, password: Option<&String>) -> String {
    let email = &options.email;
    match password {
        None => format!("{email} was an administrator of {url} before. Nothing is changed."),
        // The password is not shown, so that it is not sent either.
        Some(_) if options.cloud => format!(
            "{email} is an administrator of {url}.\n\
             Set the password at {url}/forgot-password: a code comes by e-mail.\n\
             Then sign in and add an authenticator on the account page."
        ),
        Some(password) => format!(
            "{email} is an administrator of {url}.\n\
             Sign in at {url}/sign-in with the password {password}"
        ),
    }
}

/// The shop that `cargo xtask dev` runs.
fn shop_on_this_machine<'a>(
    workspace: &'a Workspace,
    tools: &'a Tools,
) -> anyhow::Result<Shop<'a>> {
    let file = env::var_os("CAUCE_STACK");
    let file = file.map_or_else(|| workspace.dev("stack.json"), PathBuf::from);
    let text = fs::read_to_string(&file).context(
        "No shop runs on this machine: start it with cargo xtask dev, or pass --cloud for one at AWS",
    )?;
    let Description { site, aws } =
        serde_json::from_str(&text).with_context(|| format!("cannot parse {}", file.display()))?;
    Ok(Shop {
        aws: Aws {
            tools,
            workspace,
            region: aws.region,
            profile: None,
            emulator: Some(aws.endpoint),
        },
        url: site,
        user_pool_id: aws.user_pool_id,
    })
}

impl Shop<'_> {
    /// Makes the user an administrator. Returns false if the user was one before.
    ///
    /// An existing user gets a new password, no authenticator and no session: another person may
    /// have chosen the password, signed in, or signed up with the address.
    fn create_administrator(&self, email: &str, password: &str) -> anyhow::Result<bool> {
        let verified = json!({ "UserAttributes": [
            { "Name": "email", "Value": email },
            { "Name": "email_verified", "Value": "true" },
        ] });
        if !self.exists(email)? {
            let mut user = verified;
            user["TemporaryPassword"] = password.into();
            user["MessageAction"] = "SUPPRESS".into();
            self.cognito("admin_create_user", email, user)?;
        } else if self.is_administrator(email)? {
            return Ok(false);
        } else {
            self.cognito("admin_user_global_sign_out", email, json!({}))?;
            self.cognito("admin_update_user_attributes", email, verified)?;
        }
        let password = json!({ "Password": password, "Permanent": true });
        self.cognito("admin_set_user_password", email, password)?;
        let no_authenticator =
            json!({ "SoftwareTokenMfaSettings": { "Enabled": false, "PreferredMfa": false } });
        self.cognito("admin_set_user_mfa_preference", email, no_authenticator)?;
        let group = json!({ "GroupName": GROUP });
        self.cognito("admin_add_user_to_group", email, group)?;
        // A session that began meanwhile does not gain the role.
        self.cognito("admin_user_global_sign_out", email, json!({}))?;
        Ok(true)
    }

    fn exists(&self, email: &str) -> anyhow::Result<bool> {
        match self.cognito("admin_get_user", email, json!({})) {
            Ok(user) if user["Enabled"] == false => {
                bail!("{email} is disabled: another administrator must enable the account first")
            }
            Ok(_) => Ok(true),
            Err(error) if error.to_string().contains("UserNotFoundException") => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn is_administrator(&self, email: &str) -> anyhow::Result<bool> {
        let answer = self.cognito("admin_list_groups_for_user", email, json!({}))?;
        let groups = answer["Groups"].as_array();
        let mut groups = groups.into_iter().flatten();
        Ok(groups.any(|group| group["GroupName"] == GROUP))
    }

    /// Calls an operation of Cognito about a user.
    fn cognito(&self, operation: &str, email: &str, mut input: Value) -> anyhow::Result<Value> {
        input["UserPoolId"] = self.user_pool_id.as_str().into();
        input["Username"] = email.into();
        self.aws.call("cognito-idp", operation, &input)
    }
}
