//! What there is to know of template.yaml before `CloudFormation` reads it. Its own tags keep readers of
//! plain YAML off, but a line says enough.

use std::collections::BTreeMap;

/// The parameters, each with its default, as far as it has one.
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

/// The programs of the functions: where the template looks for each is `target/lambda/<program>`.
pub(super) fn programs(template: &str) -> Vec<&str> {
    let mut programs: Vec<&str> = template
        .lines()
        .filter_map(|line| line.trim().strip_prefix("CodeUri: target/lambda/"))
        .collect();
    programs.sort_unstable();
    programs.dedup();
    programs
}

/// The line without its indentation, if that is so many spaces and no more.
fn indented(line: &str, spaces: usize) -> Option<&str> {
    let rest = line.trim_start_matches(' ');
    let commented = rest.starts_with('#');
    (line.len() - rest.len() == spaces && !commented).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = include_str!("../../../../template.yaml");

    #[test]
    fn a_parameter_is_known_by_its_name_and_default() {
        let template = "Parameters:\n  # Why.\n  Size:\n    Type: String\n    Default: dev\n\n  \
            Key:\n    NoEcho: true\n  Host:\n    Default: \"\"\nRules:\n  NoParameter:\n    A: b\n";
        let expected = [("Size", Some("dev")), ("Key", None), ("Host", Some(""))];
        assert_eq!(parameters(template), BTreeMap::from(expected));
    }

    #[test]
    fn what_deploying_sets_is_in_the_template() {
        let parameters = parameters(OURS);
        for name in ["FrontendImage", "WebAclArn"] {
            assert_eq!(parameters.get(name), Some(&Some("")), "{name}");
        }
        assert!(parameters["Size"].is_some());
        assert_eq!(parameters["PaymentsKey"], None);
    }

    #[test]
    fn each_program_is_named_once() {
        let template = "    CodeUri: target/lambda/retry\n    CodeUri: target/lambda/api\n    CodeUri: target/lambda/retry\n";
        assert_eq!(programs(template), ["api", "retry"]);
        assert!(programs(OURS).contains(&"migrations"));
    }
}
