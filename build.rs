//! Digests of the shipped plugins' sources, for the action key: the crate, every workspace crate it depends on, and the
//! exact versions of everything else that it reaches in `Cargo.lock`. A change in one stage changes that stage's digest alone.
//! And the files of the flows that `nanoflow init` writes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// One package of `Cargo.lock`.
struct Package {
    name: String,
    version: String,
    checksum: String,
    needs: Vec<String>,
}

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=Cargo.lock");
    println!("cargo:rerun-if-changed=stages");
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    let packages = read_lock(&lock);
    let members = members(&root.join("stages"));
    let mut text = String::from(
        "/// Digest of the sources of each shipped stage, by the name after `uses:`.\n",
    );
    text.push_str("const PLUGIN_DIGESTS: &[(&str, &str)] = &[\n");
    for name in members.keys() {
        if let Some(stage) = name.strip_prefix("nanoflow-stage-") {
            let digest = digest(&packages, &members, name);
            text.push_str(&format!("    ({stage:?}, \"b3:{digest}\"),\n"));
        }
    }
    text.push_str("];\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    if let Err(error) = std::fs::write(out.join("plugin_digests.rs"), text) {
        println!("cargo:warning=plugin digests could not be written: {error}");
    }
    let text = templates(&root);
    if let Err(error) = std::fs::write(out.join("templates.rs"), text) {
        println!("cargo:warning=templates could not be written: {error}");
    }
}

/// Flow templates: name, then pairs of a source below the root and its place in the new flow.
const TEMPLATES: [(&str, &[(&str, &str)]); 2] = [
    (
        "gpt",
        &[
            ("flow.yaml", "flow.yaml"),
            ("configs", "configs"),
            ("constraints", "constraints"),
            ("tool-wrappers", "tool-wrappers"),
        ],
    ),
    (
        "rtl-to-gds",
        &[
            ("examples/uart/flow.yaml", "flow.yaml"),
            ("examples/uart/rtl", "rtl"),
            ("examples/uart/constraints", "constraints"),
            ("tool-wrappers/yosys", "tool-wrappers/yosys"),
            ("tool-wrappers/opensta", "tool-wrappers/opensta"),
            ("tool-wrappers/klayout", "tool-wrappers/klayout"),
        ],
    ),
];

/// The templates' files as Rust; none if the shipped stages that they use are left out.
fn templates(root: &Path) -> String {
    let mut text = String::from("const TEMPLATE_FILES: &[(&str, &str, &[u8])] = &[\n");
    if std::env::var_os("CARGO_FEATURE_SHIPPED_STAGES").is_some() {
        for (template, parts) in TEMPLATES {
            for (from, to) in parts {
                println!("cargo:rerun-if-changed={from}");
                let mut files = Vec::new();
                files_below(&root.join(from), to.to_string(), &mut files);
                files.sort();
                for (place, source) in files {
                    text.push_str(&format!(
                        "    ({template:?}, {place:?}, include_bytes!({source:?})),\n"
                    ));
                }
            }
        }
    }
    text.push_str("];\n");
    text
}

fn files_below(path: &Path, place: String, files: &mut Vec<(String, PathBuf)>) {
    if path.is_file() {
        files.push((place, path.to_path_buf()));
        return;
    }
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // What Python leaves beside a script is no part of it.
        if name != "__pycache__" && !name.starts_with('.') {
            files_below(&entry.path(), format!("{place}/{name}"), files);
        }
    }
}

/// Workspace crates by name.
fn members(folder: &Path) -> BTreeMap<String, PathBuf> {
    let mut members = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let manifest = std::fs::read_to_string(entry.path().join("Cargo.toml")).unwrap_or_default();
        let name = manifest
            .lines()
            .find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        if let Some(name) = name {
            members.insert(name.to_string(), entry.path());
        }
    }
    members
}

fn read_lock(text: &str) -> Vec<Package> {
    let value = |block: &str, key: &str| {
        let line = block
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
        line.map(|line| line.trim_end_matches('"').to_string())
            .unwrap_or_default()
    };
    text.split("[[package]]")
        .skip(1)
        .map(|block| Package {
            name: value(block, "name"),
            version: value(block, "version"),
            checksum: value(block, "checksum"),
            needs: block
                .lines()
                .filter_map(|line| Some(line.strip_prefix(" \"")?.strip_suffix("\",")?.to_string()))
                .collect(),
        })
        .collect()
}

fn digest(packages: &[Package], members: &BTreeMap<String, PathBuf>, name: &str) -> String {
    // Packages by "name" and "name version", as the lock file refers to them.
    let mut found: BTreeSet<String> = BTreeSet::new();
    let mut stack = vec![name.to_string()];
    let mut parts: BTreeMap<String, String> = BTreeMap::new();
    while let Some(need) = stack.pop() {
        if !found.insert(need.clone()) {
            continue;
        }
        let mut words = need.split(' ');
        let (wanted, version) = (words.next().unwrap_or_default(), words.next());
        let fits = |package: &&Package| {
            package.name == wanted && version.is_none_or(|version| package.version == version)
        };
        for package in packages.iter().filter(fits) {
            stack.extend(package.needs.iter().cloned());
            let content = match members.get(&package.name) {
                Some(folder) if package.checksum.is_empty() => hash_folder(folder),
                _ => package.checksum.clone(),
            };
            parts.insert(format!("{} {}", package.name, package.version), content);
        }
    }
    let mut hasher = blake3::Hasher::new();
    for (package, content) in parts {
        hasher.update(format!("{package} {content}\n").as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Everything in a crate's folder but what only tests and benches use.
fn hash_folder(folder: &Path) -> String {
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(&at).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let top = at == folder;
            if name.starts_with('.')
                || name.ends_with(".md")
                || (top && ["tests", "benches", "examples", "target"].contains(&name.as_str()))
            {
                continue;
            }
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else {
                let relative = path
                    .strip_prefix(folder)
                    .unwrap_or(&path)
                    .to_string_lossy()
                    .into_owned();
                files.insert(relative, path);
            }
        }
    }
    let mut hasher = blake3::Hasher::new();
    for (name, path) in files {
        let content = std::fs::read(path).unwrap_or_default();
        hasher.update(format!("{name}\0{}\n", blake3::hash(&content).to_hex()).as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
