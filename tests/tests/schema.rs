//! `crates/store/schema.sql` is the schema that the migrations create.

use std::{collections::BTreeMap, env, fs, path::Path};

use tests::{Database, Stack};
use tokio::process::Command;

const HEAD: &str =
    "-- The schema as the migrations make it, one table after the other, then the functions: to read, not to execute.
-- Generated: UPDATE_SCHEMA=1 cargo test -p tests --test schema
";

/// The folder of the server's programs.
const PROGRAMS: &str = "select setting from pg_config where name = 'BINDIR'";

/// The text before each statement of a dump, and after the last.
const STATEMENT: &str = "\n--\n-- Name: ";
const END: &str = "\n--\n-- PostgreSQL database dump complete";

/// The subject of a statement. Tables sort before functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Subject<'a> {
    Schema,
    Table(&'a str),
    Function(&'a str),
}

impl<'a> Subject<'a> {
    /// The subject, which each statement names first.
    fn of(statement: &'a str) -> Self {
        let Some((before, name)) = statement.split_once("public.") else {
            return Self::Schema;
        };
        let end = name.find(|char: char| char != '_' && !char.is_ascii_alphanumeric());
        let name = &name[..end.unwrap_or(name.len())];
        if before.ends_with("FUNCTION ") {
            Self::Function(name)
        } else {
            Self::Table(name)
        }
    }

    fn heading(self) -> String {
        match self {
            Self::Schema => "-- The schema".to_owned(),
            Self::Table(name) => format!("-- Table {name}"),
            Self::Function(name) => format!("-- Function {name}"),
        }
    }
}

/// A dump without its settings, with the statements grouped by subject.
fn by_subject(dump: &str) -> String {
    let dump = dump.split_once(END).map_or(dump, |(dump, _)| dump);
    let parts = dump.split(STATEMENT).skip(1);
    let mut subjects: BTreeMap<Subject<'_>, Vec<String>> = BTreeMap::new();
    for (_, statement) in parts.filter_map(|part| part.split_once("\n--\n")) {
        let lines = statement.lines().filter(|line| !line.starts_with("SET "));
        let lines: Vec<&str> = lines.collect();
        let statements = subjects.entry(Subject::of(statement)).or_default();
        statements.push(lines.join("\n").trim().to_owned());
    }
    let sections: Vec<String> = subjects
        .iter()
        .map(|(subject, statements)| {
            format!("{}\n\n{}", subject.heading(), statements.join("\n\n"))
        })
        .collect();
    format!("{HEAD}\n\n{}\n", sections.join("\n\n\n"))
}

#[tokio::test]
async fn the_schema_file_is_up_to_date() {
    let test = async |url: &str| {
        let programs: String = Database::migrated(url).await.query_value(PROGRAMS).await;
        let dump = Command::new(Path::new(&programs).join("pg_dump"))
            .args(["--schema-only", "--no-owner"])
            .args(["--exclude-table", "refinery_schema_history"])
            .args(["--dbname", url])
            .output()
            .await
            .unwrap();
        let errors = String::from_utf8_lossy(&dump.stderr);
        assert!(dump.status.success(), "{errors}");
        let made = by_subject(&String::from_utf8(dump.stdout).unwrap());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/store/schema.sql");
        if env::var_os("UPDATE_SCHEMA").is_some() {
            fs::write(&path, &made).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == made,
            "run UPDATE_SCHEMA=1 cargo test -p tests --test schema, and look at what changed"
        );
    };
    Stack::find().with_empty_database(test).await;
}
