//! The browser: an installed one, or Debian's package where this program may install it.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::geteuid;

use crate::{process::Processes, progress::step};

pub(crate) const HOW_TO_INSTALL: &str =
    "no Chromium is installed: install the package chromium, or set CHROMIUM to a browser's path";

/// The program names of Chromium and Chrome.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// The paths on macOS.
const ON_MACOS: [&str; 2] = [
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/// The browser's program. Root on Debian gets it installed: the only change outside the checkout.
pub(crate) fn find_or_install(processes: &Processes) -> Option<PathBuf> {
    if let Some(found) = find() {
        return Some(found);
    }
    if !geteuid().is_root() || which("apt-get").is_none() {
        return None;
    }
    eprintln!("          installing the system package chromium for the browser tests");
    let installed = step("apt-get install chromium", || {
        let mut update = apt_get(&["update"]);
        processes.run("apt-update", &mut update)?;
        let mut install = apt_get(&["install", "--yes", "--no-install-recommends", "chromium"]);
        processes.run("apt-install", &mut install)
    });
    if let Err(error) = installed {
        eprintln!("          {error:#}");
    }
    find()
}

fn find() -> Option<PathBuf> {
    let named = env::var_os("CHROMIUM").map(PathBuf::from);
    let on_macos = ON_MACOS.iter().map(PathBuf::from);
    named
        .into_iter()
        .chain(NAMES.into_iter().filter_map(which))
        .chain(on_macos)
        .find(|path| path.is_file())
}

fn which(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| Path::new(&folder).join(name))
        .find(|program| program.is_file())
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}
