//! Cold starts: from the start of a process to its first request for work. Our functions are
//! compared with a function that does nothing, and with handlers in Python and JavaScript that load
//! the same kinds of libraries.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, write::DeflateEncoder};
use lambda_host::Environment;
use serde::Serialize;
use signature::REGION;
use tokio::process::Command;

use tests::Stack;

use crate::{
    api::{environment, program},
    figures::{Spread, milliseconds},
    stand_in,
};

/// How often each program is started, in turns.
const ROUNDS: usize = 31;

/// Our functions.
const OURS: [&str; 4] = ["api", "auth-hooks", "breaker-probe", "retry"];

/// What a start costs.
#[derive(Debug, Serialize)]
pub(crate) struct ColdStart {
    /// From the start of the process to its first request for work.
    ms: Spread,
    /// The ratio to the function that does nothing.
    of_empty: Spread,
    /// The ratio to the API.
    of_api: Spread,
    /// The memory of the process at that moment, in MB.
    memory_mb: f64,
    /// The compressed size of the program or packages, in MB. Lambda provides Node and Python.
    zipped_mb: f64,
}

/// A program that is started, and the files that are uploaded for it.
struct Program {
    name: &'static str,
    command: Box<dyn Fn() -> Command>,
    files: PathBuf,
}

/// Starts all programs in turns.
pub(crate) async fn cold_starts(stack: &Stack) -> BTreeMap<&'static str, ColdStart> {
    let programs = programs(stack).await;
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut memory = BTreeMap::new();
    // The first round does not count: it reads the files from the disk.
    for round in 0..=ROUNDS {
        for it in &programs {
            let started = Environment::idle((it.command)()).await;
            let started = started.unwrap_or_else(|error| panic!("{}: {error}", it.name));
            if round > 0 {
                times
                    .entry(it.name)
                    .or_default()
                    .push(milliseconds(started.cold_start));
                memory.insert(it.name, started.memory().unwrap_or_default());
            }
        }
    }
    let (empty, api) = (times["empty"].clone(), times["api"].clone());
    let figures = programs.iter().map(|it| {
        let times = times[it.name].clone();
        let cold_start = ColdStart {
            of_empty: Spread::of_ratios(&times, &empty),
            of_api: Spread::of_ratios(&times, &api),
            ms: Spread::of(times),
            memory_mb: megabytes(memory[it.name]),
            zipped_mb: megabytes(compressed_size(&it.files).expect("the files should be readable")),
        };
        (it.name, cold_start)
    });
    figures.collect()
}

async fn programs(stack: &Stack) -> Vec<Program> {
    let aws = stand_in::start_aws(stack).await;
    let handlers = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("handlers");
    let python = PathBuf::from(env::var_os("PYTHON").expect("PYTHON should name the program"));
    let packages = packages(&python);
    let node = handlers.join("node");
    let script = |program: PathBuf, script: PathBuf, aws: &str| {
        let aws = aws.to_owned();
        move || {
            let mut command = Command::new(&program);
            command
                .arg(&script)
                .env("AWS_ENDPOINT_URL", &aws)
                .env("AWS_REGION", REGION)
                .env("AWS_DEFAULT_REGION", REGION);
            command
        }
    };
    let mut programs = vec![
        Program {
            name: "empty",
            command: Box::new(|| Command::new(program("empty-handler"))),
            files: program("empty-handler"),
        },
        Program {
            name: "python",
            command: Box::new(script(python, handlers.join("python/handler.py"), &aws)),
            files: packages,
        },
        Program {
            name: "node",
            command: Box::new(script("node".into(), node.join("handler.mjs"), &aws)),
            files: node.join("node_modules"),
        },
    ];
    for name in OURS {
        let variables = environment(stack, name, &aws).await;
        let command = move || {
            let mut command = Command::new(program(name));
            command.envs(&variables);
            command
        };
        programs.push(Program {
            name,
            command: Box::new(command),
            files: program(name),
        });
    }
    programs
}

/// The folder of packages of a Python environment.
fn packages(python: &Path) -> PathBuf {
    let home = python
        .ancestors()
        .nth(2)
        .expect("Python should be in a virtual environment");
    let library = fs::read_dir(home.join("lib")).expect("the environment should have packages");
    let version = library
        .flatten()
        .next()
        .expect("the environment should have a version");
    version.path().join("site-packages")
}

/// The compressed size in bytes of a file, or of all files below a folder.
fn compressed_size(path: &Path) -> io::Result<u64> {
    if path.is_dir() {
        let entries = fs::read_dir(path)?.flatten();
        // pip itself is not uploaded.
        let entries =
            entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with("pip"));
        return entries.map(|entry| compressed_size(&entry.path())).sum();
    }
    let mut deflated = DeflateEncoder::new(Vec::new(), Compression::default());
    deflated.write_all(&fs::read(path)?)?;
    Ok(deflated.finish()?.len() as u64)
}

#[expect(clippy::cast_precision_loss, reason = "no file here is that large")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
