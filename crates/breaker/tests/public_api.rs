//! Compares the public API with its list in `public-api.txt`.

use std::{env, fs, path::Path, process::Command};

#[test]
fn the_public_api_equals_its_list() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let rustdoc = Command::new(env!("CARGO"))
        .args(["rustdoc", "--lib", "--all-features", "--locked"])
        .arg("--target-dir")
        .arg(target)
        .args(["--", "--deny", "warnings"])
        .args(["-Z", "unstable-options", "--output-format", "json"])
        .current_dir(package)
        .env("RUSTDOC", package.join("tests/rustdoc_json/rustdoc"))
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&rustdoc.stderr);
    assert!(rustdoc.status.success(), "{log}");

    let json = target.join("doc/breaker.json");
    let api = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .build()
        .unwrap();
    let actual = api.to_string();
    let path = package.join("public-api.txt");
    if env::var_os("UPDATE_PUBLIC_API").is_some() {
        fs::write(&path, &actual).unwrap();
    }
    let listed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        listed == actual,
        "the public API has changed: run UPDATE_PUBLIC_API=1 cargo test -p cauce-breaker --test \
         public_api, review public-api.txt, and describe the change in CHANGELOG.md"
    );
}
