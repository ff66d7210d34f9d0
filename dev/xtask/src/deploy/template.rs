//! Reads parameters and programs from the templates line by line. A YAML parser does not accept
//! `CloudFormation`'s tags.

use std::{collections::BTreeMap, fs, io, path::Path};

/// The text of template.yaml and of all templates in infra/.
pub(super) fn all(root: &Path) -> io::Result<String> {
    let mut text = fs::read_to_string(root.join("template.yaml"))?;
    for file in fs::read_dir(root.join("infra"))? {
        let path = file?.path();
        if path.extension().is_some_and(|it| it == "yaml") {
            text += &fs::read_to_string(path)?;
        }
    }
    Ok(text)
}

/// The parameters, each with its default, if it has one.
pub(super) fn parameters(template: &str) -> BTreeMap<&str, Option<&str>> {
    let lines = template.lines().skip_while(|line| *line != "Parameters:");
    let section = lines
        .skip(1)
        .take_while(|line| line.is_empty() || line.starts_with(' '));
    let mut parameters = BTreeMap::new();
    let mut last = None;
    for line in section {
        if let Some(name) = indented(line, 2).and_then(|line| line.strip_suffix(':')) {
            parameters.insert(name, None);
            last = Some(name);
        } else if let Some(default) = indented(line, 4)
            .and_then(|line| line.strip_prefix("Default: "))
            .zip(last)
        {
            let (default, name) = default;
            parameters.insert(name, Some(default.trim_matches('"')));
        }
    }
    parameters
}

/// The programs of the functions: each `CodeUri` is `target/lambda/<program>`.
pub(super) fn programs(templates: &str) -> Vec<&str> {
    let mut programs: Vec<&str> = templates
        .lines()
        .filter_map(|line| line.trim().strip_prefix("CodeUri: "))
        .filter_map(|path| path.split_once("target/lambda/"))
        .map(|(_, program)| program)
        .collect();
    programs.sort_unstable();
    programs.dedup();
    programs
}

/// The line without its indentation, if that is exactly this many spaces.
fn indented(line: &str, spaces: usize) -> Option<&str> {
    let rest = line.trim_start_matches(' ');
    let is_comment = rest.starts_with('#');
    (line.len() - rest.len() == spaces && !is_comment).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = include_str!("../../../../template.yaml");

    #[test]
    fn parameters_have_a_name_and_perhaps_a_default() {
        let template = "Parameters:\n  # Why.\n  Size:\n    Type: String\n    Default: dev\n\n  \
            Key:\n    NoEcho: true\n  Host:\n    Default: \"\"\nRules:\n  NoParameter:\n    A: b\n";
        let expected = [("Size", Some("dev")), ("Key", None), ("Host", Some(""))];
        assert_eq!(parameters(template), BTreeMap::from(expected));
    }

    #[test]
    fn the_template_declares_the_parameters_that_a_deployment_sets() {
        let parameters = parameters(OURS);
        for name in ["FrontendImage", "WebAclArn"] {
            assert_eq!(parameters.get(name), Some(&Some("")), "{name}");
        }
        assert!(parameters["Size"].is_some());
        assert_eq!(parameters["PaymentsKey"], None);
    }

    #[test]
    fn each_program_is_listed_once() {
        let templates = "    CodeUri: target/lambda/retry\n    CodeUri: ../target/lambda/api\n    CodeUri: target/lambda/retry\n";
        assert_eq!(programs(templates), ["api", "retry"]);
    }

    #[test]
    fn the_programs_of_all_templates_are_listed() -> io::Result<()> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        assert_eq!(
            programs(&all(&root)?),
            ["api", "auth-hooks", "breaker-probe", "migrations", "retry"]
        );
        Ok(())
    }
}
