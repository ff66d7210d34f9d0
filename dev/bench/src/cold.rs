//! Cold starts: from the start of a process to its first request for work, of our functions, of one that does
//! nothing, and of others that load what ours would need in Python and in JavaScript.

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

use super::{
    Spread,
    boundary::{environment, program, stand_in},
};
use tests::Stack;

/// How often each is started, in turns.
const ROUNDS: usize = 31;

/// Our functions.
const OURS: [&str; 4] = ["api", "auth-hooks", "breaker-probe", "retry"];

/// What a start takes.
#[derive(Debug, Serialize)]
pub struct ColdStart {
    /// From the start of the process to its first request for work.
    pub ms: Spread,
    /// Of that of the function that does nothing.
    pub of_empty: Spread,
    /// Of that of the API.
    pub of_api: Spread,
    /// The memory of the process then, in MB.
    pub memory_mb: f64,
    /// What is uploaded, in MB: programs and packages, zipped. Node and Python themselves are Lambda's.
    pub zipped_mb: f64,
}

/// Something that can be started, and what has to be uploaded for it.
struct Starts {
    name: &'static str,
    command: Box<dyn Fn() -> Command>,
    files: PathBuf,
}

/// Starts everything again and again.
pub async fn cold_starts(stack: &Stack) -> BTreeMap<&'static str, ColdStart> {
    let all = all(stack).await;
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut memory = BTreeMap::new();
    // The first of each comes from the disk.
    for round in 0..=ROUNDS {
        for it in &all {
            let started = Environment::idle((it.command)()).await;
            let started = started.unwrap_or_else(|error| panic!("{}: {error}", it.name));
            if round > 0 {
                times
                    .entry(it.name)
                    .or_default()
                    .push(started.cold_start.as_secs_f64() * 1e3);
                memory.insert(it.name, started.memory().unwrap_or_default());
            }
        }
    }
    let (empty, api) = (times["empty"].clone(), times["api"].clone());
    let figures = all.iter().map(|it| {
        let times = times[it.name].clone();
        let cold_start = ColdStart {
            of_empty: Spread::of_ratios(&times, &empty),
            of_api: Spread::of_ratios(&times, &api),
            ms: Spread::of(times),
            memory_mb: megabytes(memory[it.name]),
            zipped_mb: megabytes(zipped(&it.files).expect("its files should be readable")),
        };
        (it.name, cold_start)
    });
    figures.collect()
}

async fn all(stack: &Stack) -> Vec<Starts> {
    let aws = stand_in(stack).await;
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
    let mut all = vec![
        Starts {
            name: "empty",
            command: Box::new(|| Command::new(program("empty-handler"))),
            files: program("empty-handler"),
        },
        Starts {
            name: "python",
            command: Box::new(script(python, handlers.join("python/handler.py"), &aws)),
            files: packages,
        },
        Starts {
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
        all.push(Starts {
            name,
            command: Box::new(command),
            files: program(name),
        });
    }
    all
}

/// The packages of a Python environment.
fn packages(python: &Path) -> PathBuf {
    let home = python
        .ancestors()
        .nth(2)
        .expect("it should be in an environment");
    let library = fs::read_dir(home.join("lib")).expect("it should have packages");
    let version = library.flatten().next().expect("it should have a version");
    version.path().join("site-packages")
}

/// How large a file, or all files below a folder, are when they are zipped.
fn zipped(path: &Path) -> io::Result<u64> {
    if path.is_dir() {
        let entries = fs::read_dir(path)?.flatten();
        // What installs packages is not uploaded with them.
        let entries =
            entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with("pip"));
        return entries.map(|entry| zipped(&entry.path())).sum();
    }
    let mut deflated = DeflateEncoder::new(Vec::new(), Compression::default());
    deflated.write_all(&fs::read(path)?)?;
    Ok(deflated.finish()?.len() as u64)
}

#[expect(clippy::cast_precision_loss, reason = "no file here is that large")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
