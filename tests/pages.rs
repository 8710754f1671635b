//! `docs/writing-a-stage.md` is followed word for word: every file on it is written, every command is run. The drawing of the shipped
//! flow is up to date.

use std::fs;
use std::path::Path;
use std::process::Command;

/// A fenced block of a page.
enum Block {
    File { path: String, text: String },
    Console { commands: Vec<(String, String)> },
}

fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            continue;
        };
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if let Some((_, path)) = info.split_once("file=") {
            found.push(Block::File {
                path: path.to_string(),
                text: body.join("\n") + "\n",
            });
        } else if info == "console" {
            let mut commands: Vec<(String, String)> = Vec::new();
            for line in body {
                match (line.strip_prefix("$ "), commands.last_mut()) {
                    (Some(command), _) => commands.push((command.to_string(), String::new())),
                    (None, Some((_, output))) => *output += &format!("{line}\n"),
                    (None, None) => panic!("output before a command: {line}"),
                }
            }
            found.push(Block::Console { commands });
        }
    }
    found
}

fn run(command: &str, folder: &Path) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_nanoflow"))
        .parent()
        .expect("a folder")
        .to_path_buf();
    let path = std::env::var("PATH").expect("PATH");
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", binary.display()))
        .env("CARGO_NET_OFFLINE", "true")
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .expect("sh runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "$ {command}\n{stderr}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn writing_a_stage_works_as_it_is_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/writing-a-stage.md")).expect("the page");
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = temporary.path().join("words");
    fs::create_dir(&folder).expect("a folder");
    let mut commands_run = 0;
    for block in blocks(&page) {
        match block {
            Block::File { path, text } => {
                let sdk = root.join("stages/sdk");
                let text = text.replace(
                    "../../nanoflow/stages/sdk",
                    sdk.to_str().expect("a path in UTF-8"),
                );
                let path = folder.join(path);
                fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
                if path.ends_with("reverse/Cargo.toml") {
                    // The lock file of the workspace names versions that are on this machine already.
                    fs::copy(root.join("Cargo.lock"), path.with_file_name("Cargo.lock"))
                        .expect("Cargo.lock");
                }
                fs::write(path, text).expect("a file");
            }
            Block::Console { commands } => {
                for (command, expected) in commands {
                    let printed = run(&command, &folder);
                    if !expected.is_empty() {
                        assert_eq!(printed, expected, "$ {command}");
                    }
                    commands_run += 1;
                }
            }
        }
    }
    assert!(
        commands_run >= 8,
        "only {commands_run} commands were found on the page"
    );
}

#[test]
fn the_drawing_of_the_flow_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("docs/pictures/flow.svg");
    let now = run("nanoflow graph --format svg", root);
    if std::env::var_os("NANOFLOW_UPDATE_PAGES").is_some() {
        fs::write(&path, &now).expect("the drawing");
    }
    let kept = fs::read_to_string(path).expect("the drawing");
    assert!(kept == now, "NANOFLOW_UPDATE_PAGES=1 draws it anew");
}
