//! What every stage may read and run: the system's programs, libraries and settings, and the folders of `PATH`.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Read and run.
const READABLE: [&str; 22] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix/store",
    "/gnu/store",
    "/snap",
    "/proc",
    "/sys",
    "/run/current-system",
    "/var/cache/fontconfig",
    "/var/lib/texmf",
    "/var/lib/ghc",
    "/var/lib/dpkg/alternatives",
    // Where /etc/resolv.conf leads to.
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
];

/// Read and written: they keep nothing, or belong to the terminal, the graphics card, or (`shm`) to memory that the processes of
/// a program share.
const DEVICES: [&str; 12] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
    "/dev/shm",
    "/dev/dri",
    "/dev/kfd",
    "/dev/infiniband",
];

/// Folders and files that are there on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct System {
    pub read: Vec<PathBuf>,
    pub devices: Vec<PathBuf>,
}

impl System {
    /// What is there on this machine for a flow.
    pub fn of_machine(path: &OsStr, flow: &Path) -> System {
        System::new(path, &private_folders(flow))
    }

    /// `path` is the stages' `PATH`; nothing that holds one of `private` (the flow's folder, the home directory) is opened whole.
    pub fn new(path: &OsStr, private: &[PathBuf]) -> System {
        let mut read: BTreeSet<PathBuf> = READABLE
            .iter()
            .map(PathBuf::from)
            .filter(|path| path.exists())
            .collect();
        for folder in std::env::split_paths(path) {
            read.extend(tool_folders(&folder, private));
        }
        let graphics = std::fs::read_dir("/dev").into_iter().flatten().flatten();
        let graphics = graphics
            .map(|entry| entry.path())
            .filter(|path| path.to_string_lossy().starts_with("/dev/nvidia"));
        System {
            read: read.into_iter().collect(),
            devices: DEVICES
                .iter()
                .map(PathBuf::from)
                .filter(|path| path.exists())
                .chain(graphics)
                .collect(),
        }
    }
}

/// What a folder of programs opens: `/tools/x/bin` the whole of `/tools/x`, where its libraries are, unless that holds something
/// private; then the folder alone.
pub fn tool_folders(folder: &Path, private: &[PathBuf]) -> Vec<PathBuf> {
    let Ok(real) = folder.canonicalize() else {
        return Vec::new();
    };
    if !real.is_absolute() || real.parent().is_none() || !real.is_dir() {
        return Vec::new();
    }
    let whole = real
        .parent()
        .filter(|_| real.ends_with("bin") || real.ends_with("sbin"))
        .filter(|whole| whole.parent().is_some())
        .filter(|whole| !private.iter().any(|path| path.starts_with(whole)));
    match whole {
        Some(whole) => vec![whole.to_path_buf()],
        // Not even the folder itself if it is, say, the home directory.
        None if private.iter().any(|path| path.starts_with(&real)) => Vec::new(),
        None => vec![real],
    }
}

/// What a program's file opens: its folder as above, and where its links lead.
pub fn program_folders(program: &Path, private: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Ok(real) = program.canonicalize() {
        if let Some(folder) = real.parent() {
            found.extend(tool_folders(folder, private));
        }
        found.push(real);
    }
    found
}

/// Places that no tool's folder may open: the flow's own and people's.
pub fn private_folders(flow: &Path) -> Vec<PathBuf> {
    let mut found = vec![
        flow.to_path_buf(),
        PathBuf::from("/tmp"),
        PathBuf::from("/var/tmp"),
    ];
    let own = nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten();
    found.extend(own.map(|user| user.dir));
    found.extend(std::env::var_os("HOME").map(PathBuf::from));
    found
        .into_iter()
        .filter(|path| path.is_absolute() && path.parent().is_some())
        .map(|path| path.canonicalize().unwrap_or(path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tools_folder_opens_its_libraries_but_no_private_place() {
        let place = tempfile::tempdir().expect("a folder");
        let root = place.path().canonicalize().expect("a path");
        for folder in ["tool/bin", "home/bin", "home/.local/bin", "plain"] {
            std::fs::create_dir_all(root.join(folder)).expect("a folder");
        }
        let private = [root.join("home")];
        let opened = |folder: &str| tool_folders(&root.join(folder), &private);
        assert_eq!(opened("tool/bin"), [root.join("tool")]);
        assert_eq!(opened("home/bin"), [root.join("home/bin")]);
        assert_eq!(opened("home/.local/bin"), [root.join("home/.local")]);
        assert_eq!(opened("plain"), [root.join("plain")]);
        assert!(opened("home").is_empty());
        assert!(opened("missing").is_empty());
        assert!(tool_folders(Path::new("/"), &private).is_empty());
    }
}
