//! The paths in the checkout.

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

/// Folders of generated files, which fingerprints ignore.
const GENERATED: [&str; 4] = ["node_modules", "build", ".svelte-kit", "test-results"];

/// The checkout.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
    profile: Profile,
}

/// The cargo profile of our own programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Fast to build, for tests.
    Debug,
    /// Fast to run, as deployed.
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

    /// A path in `.dev`, which git ignores: for tools, data and logs.
    pub(crate) fn dev(&self, name: &str) -> PathBuf {
        self.root.join(".dev").join(name)
    }

    /// Locks the command `name` in this checkout, until the file is dropped.
    pub(crate) fn lock(&self, name: &str) -> anyhow::Result<File> {
        fs::create_dir_all(self.root.join(".dev"))?;
        let lock = File::create(self.dev(&format!("{name}.lock")))?;
        lock.try_lock()
            .map_err(|_| anyhow!("cargo xtask {name} is already running in this checkout"))?;
        Ok(lock)
    }

    /// The same checkout, with the programs of the release profile.
    pub(crate) fn with_release_profile(self) -> Self {
        let profile = Profile::Release;
        Self { profile, ..self }
    }

    /// The path of one of our programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let folder = match self.profile {
            Profile::Debug => "debug",
            Profile::Release => "release",
        };
        self.target.join(folder).join(name)
    }
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A hash of the size and modification time of these files, and of all files in these folders.
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
    let is_generated = |path: &PathBuf| GENERATED.iter().any(|name| path.ends_with(name));
    for entry in entries.iter().filter(|path| !is_generated(path)) {
        hash(entry, hasher)?;
    }
    Ok(())
}
