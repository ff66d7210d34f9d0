//! The software bill of materials of a release, as `CycloneDX` 1.5: the crates of the deployed
//! functions, and the packages that the frontend is built from and with. It excludes tools for
//! tests and development.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    process::Processes,
    progress::step,
    tools::npm,
    workspace::{Workspace, cargo},
};

/// The target of the functions: Graviton processors.
const TARGET: &str = "aarch64-unknown-linux-gnu";

/// No options.
#[derive(Debug, Args)]
pub(crate) struct Options {}

/// The output of `cargo metadata`.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
    workspace_root: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    /// `None` for a crate of this workspace.
    source: Option<String>,
    manifest_path: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Debug, Deserialize)]
struct DependencyKind {
    /// `None` for a normal dependency, as opposed to one of tests or of the build script.
    kind: Option<String>,
}

/// Writes the files and prints their paths.
pub(crate) fn run(_: &Options) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    let processes = Processes::new(&workspace.dev("sbom"))?;
    let files = step("software bill of materials", || {
        write(&workspace, &processes)
    })?;
    for file in files {
        println!("{}", file.display());
    }
    Ok(())
}

/// Writes the files into `target/sbom`.
pub(crate) fn write(workspace: &Workspace, processes: &Processes) -> anyhow::Result<[PathBuf; 2]> {
    let folder = workspace.target.join("sbom");
    fs::create_dir_all(&folder)?;
    let functions = folder.join("functions.cdx.json");
    let metadata = metadata(workspace, processes)?;
    fs::write(
        &functions,
        serde_json::to_vec_pretty(&functions_sbom(&metadata))?,
    )?;
    let frontend = folder.join("frontend.cdx.json");
    fs::write(&frontend, frontend_sbom(workspace, processes)?)?;
    Ok([functions, frontend])
}

fn metadata(workspace: &Workspace, processes: &Processes) -> anyhow::Result<Metadata> {
    let mut metadata = cargo();
    metadata
        .args(["metadata", "--locked", "--format-version=1"])
        .args(["--filter-platform", TARGET])
        .current_dir(&workspace.root);
    let output = processes.output("sbom-cargo", &mut metadata)?;
    serde_json::from_str(&output).context("cannot parse the output of cargo metadata")
}

/// npm's own list. It includes development dependencies: the frontend is bundled from them.
fn frontend_sbom(workspace: &Workspace, processes: &Processes) -> anyhow::Result<String> {
    let mut list = npm(workspace, "frontend");
    list.args(["sbom", "--package-lock-only", "--sbom-format=cyclonedx"]);
    let output = processes.output("sbom-npm", &mut list)?;
    let list: Value =
        serde_json::from_str(&output).context("cannot parse the output of npm sbom")?;
    let components = list["components"].as_array();
    ensure!(
        components.is_some_and(|it| !it.is_empty()),
        "npm lists no package of the frontend"
    );
    Ok(output)
}

/// The list of the functions' crates.
fn functions_sbom(metadata: &Metadata) -> Value {
    let edges = edges(&metadata.resolve);
    let functions = functions(metadata);
    let within = reachable(&edges, functions.iter().map(|it| it.id.as_str()).collect());
    let packages = metadata
        .packages
        .iter()
        .filter(|it| within.contains(it.id.as_str()));
    let packages: BTreeMap<&str, &Package> = packages.map(|it| (it.id.as_str(), it)).collect();
    let reference = |id: &&str| packages.get(id).map(|it| it.purl());
    let dependencies = packages.keys().map(|id| {
        let needed = edges.get(id).into_iter().flatten();
        let needed: BTreeSet<String> = needed.filter_map(reference).collect();
        json!({ "ref": reference(id), "dependsOn": needed })
    });
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": { "type": "application", "name": "cauce", "bom-ref": "cauce" },
        },
        "components": packages.values().map(|it| it.component()).collect::<Vec<_>>(),
        "dependencies": dependencies.collect::<Vec<_>>(),
    })
}

impl Package {
    /// Its package URL, the key in vulnerability databases.
    fn purl(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version)
    }

    fn component(&self) -> Value {
        let purl = self.purl();
        let mut component = json!({
            "type": "library",
            "bom-ref": purl,
            "name": self.name,
            "version": self.version,
            "purl": purl,
        });
        if let Some(license) = &self.license {
            // Old crates write / for OR, which is not valid SPDX.
            let expression = license.replace(" / ", " OR ").replace('/', " OR ");
            component["licenses"] = json!([{ "expression": expression }]);
        }
        component
    }
}

/// The crates in `functions/`, which are deployed.
fn functions(metadata: &Metadata) -> Vec<&Package> {
    let folder = metadata.workspace_root.join("functions");
    let is_function = |manifest: &Path| manifest.starts_with(&folder);
    let packages = metadata.packages.iter();
    packages
        .filter(|it| it.source.is_none() && is_function(&it.manifest_path))
        .collect()
}

/// The crates that each crate links: without those of tests and build scripts.
fn edges(resolve: &Resolve) -> BTreeMap<&str, Vec<&str>> {
    let nodes = resolve.nodes.iter();
    nodes.map(|node| (node.id.as_str(), linked(node))).collect()
}

fn linked(node: &Node) -> Vec<&str> {
    let is_linked = |it: &&Dependency| it.dep_kinds.iter().any(|it| it.kind.is_none());
    let linked = node.deps.iter().filter(is_linked);
    linked.map(|it| it.pkg.as_str()).collect()
}

fn reachable<'a>(edges: &BTreeMap<&'a str, Vec<&'a str>>, from: Vec<&'a str>) -> BTreeSet<&'a str> {
    let (mut seen, mut next) = (BTreeSet::new(), from);
    while let Some(id) = next.pop() {
        if seen.insert(id) {
            next.extend(edges.get(id).into_iter().flatten());
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, source: Option<&str>, folder: &str) -> Value {
        json!({
            "id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0",
            "source": source, "manifest_path": format!("/checkout/{folder}/{name}/Cargo.toml"),
        })
    }

    #[test]
    fn the_list_contains_the_crates_that_the_functions_link() -> anyhow::Result<()> {
        let normal = |name: &str| json!({ "pkg": name, "dep_kinds": [{ "kind": null }] });
        let dev = |name: &str| json!({ "pkg": name, "dep_kinds": [{ "kind": "dev" }] });
        let metadata: Metadata = serde_json::from_value(json!({
            "workspace_root": "/checkout",
            "packages": [
                package("api", None, "functions"),
                package("serde", Some("registry"), "registry"),
                package("proptest", Some("registry"), "registry"),
                package("xtask", None, "dev"),
            ],
            "resolve": { "nodes": [
                { "id": "api", "deps": [normal("serde"), dev("proptest")] },
                { "id": "serde", "deps": [] },
                { "id": "proptest", "deps": [] },
                { "id": "xtask", "deps": [normal("proptest")] },
            ]},
        }))?;
        let list = functions_sbom(&metadata);
        let names: Vec<&Value> = list["components"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|it| &it["name"])
            .collect();
        assert_eq!(names, ["api", "serde"]);
        assert_eq!(
            list["components"][1]["licenses"][0]["expression"],
            "MIT OR Apache-2.0"
        );
        assert_eq!(
            list["dependencies"][0],
            json!({ "ref": "pkg:cargo/api@1.0.0", "dependsOn": ["pkg:cargo/serde@1.0.0"] })
        );
        Ok(())
    }
}
