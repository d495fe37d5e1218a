//! Refuses to build without the pages' assets, and rebuilds when they change.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=static/dist");
    println!("cargo::rerun-if-changed=templates");
    if !Path::new("static/dist/manifest.json").exists() {
        println!("cargo::error=static/dist is missing: run `make assets` (npm ci and node build.mjs in static/)");
    }
}
