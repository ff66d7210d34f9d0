//! The programs that must be installed. Missing ones are listed with install instructions.

use std::process::Command;

use anyhow::bail;

/// The oldest Python that the tools support.
const PYTHON: (u32, u32) = (3, 10);

/// The oldest Node.js that the frontend supports.
const NODE: (u32, u32) = (20, 19);

/// Returns an error that lists everything that is missing.
pub(crate) fn check() -> anyhow::Result<()> {
    let missing: Vec<&str> = [python(), venv(), node(), npm(), linker()]
        .into_iter()
        .flatten()
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!("{}", missing.join("\n"))
}

fn python() -> Option<&'static str> {
    let version = version(&["python3", "--version"]);
    (version < Some(PYTHON)).then_some(
        "Python 3.10 or newer is missing: install python3 from your system's packages, or from https://www.python.org/downloads/",
    )
}

fn venv() -> Option<&'static str> {
    let import = ["python3", "-c", "import ensurepip, venv"];
    output_of(&import).is_none().then_some(
        "Python's venv module is missing: install python3-venv from your system's packages",
    )
}

fn node() -> Option<&'static str> {
    let version = version(&["node", "--version"]);
    (version < Some(NODE))
        .then_some("Node.js 20.19 or newer is missing: get it from https://nodejs.org/en/download")
}

fn npm() -> Option<&'static str> {
    output_of(&["npm", "--version"])
        .is_none()
        .then_some("npm is missing: it comes with Node.js, from https://nodejs.org/en/download")
}

fn linker() -> Option<&'static str> {
    output_of(&["cc", "--version"]).is_none().then_some(
        "A C compiler is missing: install gcc or clang from your system's packages (on macOS: xcode-select --install)",
    )
}

/// The first two numbers of the version that the program prints.
fn version(command: &[&str]) -> Option<(u32, u32)> {
    let output = output_of(command)?;
    let digits = output.trim_start_matches(|c: char| !c.is_ascii_digit());
    let mut numbers = digits.split('.').map(|number| number.trim().parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// The program's output, if it succeeds.
fn output_of(command: &[&str]) -> Option<String> {
    let (program, arguments) = command.split_first()?;
    let output = Command::new(program).args(arguments).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
