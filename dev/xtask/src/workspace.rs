//! Where things are in the checkout.

use std::{
    collections::hash_map::DefaultHasher,
    env,
    fs::{self, File},
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, anyhow, ensure};
use serde::Deserialize;

/// Folders that hold what is made from the rest.
const MADE: [&str; 4] = ["node_modules", "build", ".svelte-kit", "test-results"];

/// The checkout.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Where cargo builds to.
    pub(crate) target: PathBuf,
    profile: Profile,
}

/// How our own programs are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Soon, for tests.
    Debug,
    /// To run fast, as they are deployed.
    Release,
}

#[derive(Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

impl Workspace {
    /// The checkout that this program was built from.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let output = cargo()
            .args(["metadata", "--no-deps", "--format-version=1"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .context("cannot run cargo")?;
        ensure!(
            output.status.success(),
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
        Ok(Self {
            root: metadata.workspace_root,
            target: metadata.target_directory,
            profile: Profile::Debug,
        })
    }

    /// A folder of the checkout that git ignores, for all that is set up and kept.
    pub(crate) fn dev(&self, name: &str) -> PathBuf {
        self.root.join(".dev").join(name)
    }

    /// Makes sure that nobody else does in this checkout what `name` says, as long as the lock is kept.
    pub(crate) fn lock(&self, name: &str) -> anyhow::Result<File> {
        fs::create_dir_all(self.root.join(".dev"))?;
        let lock = File::create(self.dev(&format!("{name}.lock")))?;
        lock.try_lock()
            .map_err(|_| anyhow!("cargo xtask {name} runs already in this checkout"))?;
        Ok(lock)
    }

    /// The same checkout, with programs as they are deployed.
    pub(crate) fn released(self) -> Self {
        let profile = Profile::Release;
        Self { profile, ..self }
    }

    /// A program of ours, as cargo builds it.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let folder = match self.profile {
            Profile::Debug => "debug",
            Profile::Release => "release",
        };
        self.target.join(folder).join(name)
    }
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A number that changes when any of these files, or a file below any of these folders, changes.
pub(crate) fn fingerprint(paths: &[PathBuf]) -> anyhow::Result<String> {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        hash(path, &mut hasher).with_context(|| format!("cannot read {}", path.display()))?;
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn hash(path: &Path, hasher: &mut DefaultHasher) -> anyhow::Result<()> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_dir() {
        (path, metadata.len(), metadata.modified()?).hash(hasher);
        return Ok(());
    }
    let mut entries: Vec<PathBuf> = fs::read_dir(path)?
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<_>>()?;
    entries.sort();
    let made = |path: &PathBuf| MADE.iter().any(|name| path.ends_with(name));
    for entry in entries.iter().filter(|path| !made(path)) {
        hash(entry, hasher)?;
    }
    Ok(())
}
