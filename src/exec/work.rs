//! A stage's work directory: inputs put in, the command made ready, outputs taken out.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nanoflow_sdk as sdk;

use crate::flow::quote::Language;
use crate::flow::{Body, StageId};
use crate::gate::{parse_metrics, Metrics};
use crate::key::Runs;
use crate::store::{
    copy_hashed, decode_path, remove_all, Access, Content, Digest, Identity, Kind, OutputRecord,
    RestoreError, StatCache, Store, StoreError, TreeEntry, Unsynced,
};

use super::plan::{command, render_words, scope, Resolved, Staged, StagedFrom};
use super::{Missing, Project};

/// Why a try of a stage came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The stage failed: exit code 1.
    #[error("{message}")]
    Stage {
        message: String,
        hint: Option<String>,
        kind: Option<sdk::Failure>,
    },
    /// Exit code 4.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// A result of this stage is damaged and must be made again.
    #[error("a result of another stage is damaged")]
    Damaged(StageId),
    /// Exit code 5.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Stopped by a signal.
    #[error("interrupted")]
    Interrupted,
}

impl Failed {
    pub fn stage(message: impl Into<String>) -> Failed {
        Failed::Stage {
            message: message.into(),
            hint: None,
            kind: None,
        }
    }
}

/// Folders of its own that a stage finds in its work directory.
const HOME: &str = ".home";
const TEMPORARY: &str = ".tmp";

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Failed + '_ {
    move |error| Failed::Store(StoreError::io(path, error))
}

/// Where a stage keeps state over interrupted tries of one key.
pub fn checkpoint_folder(store: &Store, key: &str) -> PathBuf {
    store.root().join("checkpoints").join(key)
}

/// Makes the work directory and puts the inputs in. Every byte is checked on the way.
pub fn prepare(
    project: &Project,
    id: StageId,
    resolved: &Resolved,
    work: &Path,
) -> Result<(), Failed> {
    remove_all(work).map_err(io(work))?;
    let mut made = BTreeSet::new();
    let mut make = |folder: &Path| -> Result<(), Failed> {
        if !made.contains(folder) {
            std::fs::create_dir_all(folder).map_err(io(folder))?;
            made.insert(folder.to_path_buf());
        }
        Ok(())
    };
    for folder in [work, &work.join(HOME), &work.join(TEMPORARY)] {
        make(folder)?;
    }
    for part in &resolved.staged {
        let to = work.join(&part.path);
        make(to.parent().unwrap_or(work))?;
        put_in(project, part, &to)?;
    }
    let stage = project.flow.stage(id);
    for output in stage.outputs.values() {
        let path = work.join(&output.path);
        make(path.parent().unwrap_or(work))?;
    }
    if stage.checkpoint {
        let folder = checkpoint_folder(&project.store, &resolved.key.0);
        std::fs::create_dir_all(&folder).map_err(io(&folder))?;
    }
    Ok(())
}

fn put_in(project: &Project, part: &Staged, to: &Path) -> Result<(), Failed> {
    match &part.from {
        StagedFrom::Output { stage, record, .. } => {
            match project
                .store
                .write_out(&record.digest, record.kind, to, Access::ReadOnly)
            {
                Ok(()) => Ok(()),
                Err(RestoreError::Damaged(fault)) => {
                    tracing::warn!("{fault}; it is made again");
                    project.store.drop_object(&fault.digest);
                    Err(Failed::Damaged(*stage))
                }
                Err(RestoreError::Io { path, source }) => Err(StoreError::io(path, source).into()),
            }
        }
        StagedFrom::Source(path) => {
            let from = project.dir.join(path);
            if part.kind != Kind::Directory {
                let copied = copy_file(&from, to, part.kind).map_err(|error| {
                    Failed::stage(format!(
                        "input '{}': {}: {error}",
                        part.input,
                        path.display()
                    ))
                })?;
                return match copied.to_string() == part.digest {
                    true => Ok(()),
                    false => Err(changed(part, path)),
                };
            }
            copy_folder(&project.store, &from, to).map_err(|error| {
                Failed::stage(format!(
                    "input '{}': {}: {error}",
                    part.input,
                    path.display()
                ))
            })?;
            let copied = fresh_content(to)
                .map_err(|message| Failed::stage(format!("input '{}': {message}", part.input)))?;
            if copied.digest.to_string() != part.digest {
                return Err(changed(part, path));
            }
            seal(to).map_err(io(to))
        }
    }
}

const RUN_AGAIN: &str = "nothing was kept; run again when the file stays as it is";

fn changed(part: &Staged, path: &Path) -> Failed {
    Failed::Stage {
        message: format!(
            "input '{}' changed while the stage ran: {}",
            part.input,
            path.display()
        ),
        hint: Some(RUN_AGAIN.to_string()),
        kind: Some(sdk::Failure::Input),
    }
}

/// Copies a file that the stage may only read; gives the digest of what was copied.
fn copy_file(from: &Path, to: &Path, kind: Kind) -> std::io::Result<Digest> {
    // The kind may have changed since, too.
    let mut from = File::open(from)?;
    let now = Identity::of(&from.metadata()?).kind();
    let mut copy = File::create(to)?;
    let digest = copy_hashed(now, &mut from, Some(&mut copy))?;
    let mode = if kind == Kind::Executable {
        0o555
    } else {
        0o444
    };
    copy.set_permissions(Permissions::from_mode(mode))?;
    Ok(digest)
}

/// Copies a folder as its digest sees it: links that leave it are the files they lead to, nanoflow's own folders are left out.
fn copy_folder(store: &Store, from: &Path, to: &Path) -> std::io::Result<()> {
    let copy = |from: &Path, to: &Path, kind: Kind| -> std::io::Result<()> {
        std::fs::copy(from, to)?;
        let mode = if kind == Kind::Executable {
            0o755
        } else {
            0o644
        };
        std::fs::set_permissions(to, Permissions::from_mode(mode))
    };
    std::fs::create_dir_all(to)?;
    let content = store.source_content(from).map_err(std::io::Error::other)?;
    for entry in content.tree.map(|tree| tree.entries).unwrap_or_default() {
        let name = decode_path(entry.path());
        let target = to.join(&name);
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder)?;
        }
        match &entry {
            TreeEntry::Link { target: link, .. } => {
                std::os::unix::fs::symlink(decode_path(link), &target)?
            }
            TreeEntry::Directory { .. } => std::fs::create_dir_all(&target)?,
            TreeEntry::File { .. } => copy(&from.join(&name), &target, Kind::File)?,
            TreeEntry::Executable { .. } => copy(&from.join(&name), &target, Kind::Executable)?,
        }
    }
    Ok(())
}

/// Takes away the right to write, all the way down.
fn seal(path: &Path) -> std::io::Result<()> {
    let found = path.symlink_metadata()?;
    if found.is_symlink() {
        return Ok(());
    }
    if found.is_dir() {
        for entry in std::fs::read_dir(path)? {
            seal(&entry?.path())?;
        }
    }
    std::fs::set_permissions(
        path,
        Permissions::from_mode(found.permissions().mode() & 0o555),
    )
}

/// Content read anew, without the stat cache.
fn fresh_content(path: &Path) -> Result<Content, String> {
    let scratch = StatCache::of([]);
    crate::store::content_at(&scratch, path).map_err(|error| error.to_string())
}

/// The programs to start, one after the other.
pub fn commands(
    project: &Project,
    id: StageId,
    resolved: &Resolved,
    work: &Path,
    threads: usize,
) -> Result<Vec<Vec<OsString>>, Failed> {
    let stage = project.flow.stage(id);
    let preimage = &resolved.preimage;
    match &stage.body {
        Body::Shell(_) | Body::Argv(_) => {
            let (params, inputs) = (&preimage.params, &preimage.inputs);
            let runs = match stage.body.uses_resources() {
                true => command(project, stage, params, inputs, Some(threads)),
                // The key has it ready.
                false => Ok(preimage.runs.clone()),
            };
            match runs.map_err(Failed::stage)? {
                Runs::Shell(line) => Ok(vec![vec!["/bin/sh".into(), "-c".into(), line.into()]]),
                Runs::Argv(words) => {
                    find_program(
                        project,
                        work,
                        words.first().map(String::as_str).unwrap_or_default(),
                    )?;
                    Ok(vec![words.into_iter().map(OsString::from).collect()])
                }
                _ => Err(Failed::stage("no command")),
            }
        }
        Body::Uses(name) => {
            let request = write_request(project, id, resolved, work, threads)?;
            Ok(vec![match project.flow.plugins.get(name) {
                Some(plugin) => vec![project.dir.join(&plugin.path).into(), request.into()],
                None => vec![
                    "/proc/self/exe".into(),
                    "stage".into(),
                    name.into(),
                    request.into(),
                ],
            }])
        }
        Body::Wrapper(name) => wrapper_commands(project, id, name, resolved, work, threads),
    }
}

fn find_program(project: &Project, work: &Path, program: &str) -> Result<(), Failed> {
    let found = match program.contains('/') {
        true => work.join(program).exists(),
        false => project.tools.find(program).is_some(),
    };
    if found {
        return Ok(());
    }
    Err(Missing::program(program).into())
}

fn write_request(
    project: &Project,
    id: StageId,
    resolved: &Resolved,
    work: &Path,
    threads: usize,
) -> Result<String, Failed> {
    let stage = project.flow.stage(id);
    let inputs = resolved
        .preimage
        .inputs
        .iter()
        .map(|(name, content)| {
            let mut paths: Vec<PathBuf> = content.files.keys().map(PathBuf::from).collect();
            let paths = match (content.many, paths.len()) {
                (false, 1) => sdk::Paths::One(paths.remove(0)),
                _ => sdk::Paths::Many(paths),
            };
            (name.clone(), paths)
        })
        .collect();
    let checkpoint = stage
        .checkpoint
        .then(|| checkpoint_folder(&project.store, &resolved.key.0));
    let request = sdk::Request {
        protocol: sdk::PROTOCOL,
        stage: stage.name.clone(),
        params: serde_json::to_value(&resolved.preimage.params).unwrap_or_default(),
        inputs,
        outputs: stage
            .outputs
            .iter()
            .map(|(name, output)| (name.clone(), PathBuf::from(&output.path)))
            .collect(),
        resources: sdk::Resources {
            cpu: threads,
            memory_bytes: stage.resources.memory,
        },
        scratch: PathBuf::from(TEMPORARY),
        checkpoint,
    };
    let path = work.join("request.json");
    let text =
        serde_json::to_string_pretty(&request).map_err(|error| Failed::stage(error.to_string()))?;
    std::fs::write(&path, text).map_err(io(&path))?;
    Ok("request.json".to_string())
}

fn wrapper_commands(
    project: &Project,
    id: StageId,
    name: &str,
    resolved: &Resolved,
    work: &Path,
    threads: usize,
) -> Result<Vec<Vec<OsString>>, Failed> {
    let stage = project.flow.stage(id);
    let wrapper = project
        .programs
        .wrapper(&project.dir, name)
        .map_err(Failed::stage)?;
    let scope = scope(
        project,
        stage,
        &resolved.preimage.params,
        &resolved.preimage.inputs,
        Some(threads),
    );
    let folder_of = |to: &Path| match to.parent() {
        Some(folder) => std::fs::create_dir_all(folder).map_err(io(folder)),
        None => Ok(()),
    };
    for file in &wrapper.copy {
        let (from, to) = (wrapper.folder.join(file), work.join(file));
        folder_of(&to)?;
        std::fs::copy(&from, &to).map_err(io(&to))?;
        let copied = fresh_content(&to).map_err(Failed::stage)?;
        if wrapper.read.digests.get(file) != Some(&copied.digest.to_string()) {
            return Err(Failed::Stage {
                message: format!(
                    "the wrapper changed while the stage ran: tool-wrappers/{name}/{file}"
                ),
                hint: Some(RUN_AGAIN.to_string()),
                kind: Some(sdk::Failure::Input),
            });
        }
    }
    for (file, template) in &wrapper.read.templates {
        let to = work.join(file);
        folder_of(&to)?;
        let rendered = template
            .render(&scope, Language::of_file(file))
            .map_err(|message| Failed::stage(format!("tool-wrappers/{name}/{file}: {message}")))?;
        std::fs::write(&to, rendered).map_err(io(&to))?;
    }
    let mut commands = Vec::new();
    for step in &wrapper.read.steps {
        let words = render_words(step, &scope).map_err(|message| {
            Failed::stage(format!(
                "tool-wrappers/{name}/wrapper.yaml: steps: {message}"
            ))
        })?;
        find_program(
            project,
            work,
            words.first().map(String::as_str).unwrap_or_default(),
        )?;
        commands.push(words.into_iter().map(OsString::from).collect());
    }
    Ok(commands)
}

/// The variables that a stage sees, and no others.
pub fn environment(project: &Project, work: &Path) -> Vec<(OsString, OsString)> {
    let mut variables = vec![
        ("PATH".into(), project.tools.path().clone()),
        ("HOME".into(), work.join(HOME).into()),
        ("TMPDIR".into(), work.join(TEMPORARY).into()),
    ];
    for name in project.flow.env.iter().chain(&project.flow.env_volatile) {
        if let Some(value) = std::env::var_os(name) {
            variables.push((name.into(), value));
        }
    }
    variables
}

/// What came out of a good run, still in the work directory.
pub struct Made {
    /// Where each lies, without a link on the way, and what it is.
    pub outputs: BTreeMap<String, (PathBuf, Content)>,
    pub metrics: Metrics,
}

/// Looks at what the stage left, and that its inputs are still what they were.
pub fn collect(
    project: &Project,
    id: StageId,
    resolved: &Resolved,
    work: &Path,
) -> Result<Made, Failed> {
    let stage = project.flow.stage(id);
    let mut outputs = BTreeMap::new();
    for (name, output) in &stage.outputs {
        let path = work.join(&output.path);
        let (plain, content) = output_content(work, name, output, &path)?;
        if let Some(expected) = &output.digest {
            if content.digest.to_string() != *expected {
                return Err(Failed::Stage {
                    message: format!(
                        "output '{name}' is not what was expected: {} instead of {expected}",
                        content.digest
                    ),
                    hint: Some(
                        "if the new content is right, put its digest into the flow file"
                            .to_string(),
                    ),
                    kind: Some(sdk::Failure::Input),
                });
            }
        }
        outputs.insert(name.clone(), (plain, content));
    }
    let mut metrics = Metrics::new();
    if let Body::Wrapper(name) = &stage.body {
        metrics = project
            .programs
            .wrapper(&project.dir, name)
            .map_err(Failed::stage)?
            .read_metrics(work);
    }
    let path = work.join("metrics.json");
    if path.exists() {
        let bytes = std::fs::read(&path)
            .map_err(|error| Failed::stage(format!("metrics.json: {error}")))?;
        let told = parse_metrics(&String::from_utf8_lossy(&bytes))
            .map_err(|message| Failed::stage(format!("metrics.json cannot be read: {message}")))?;
        metrics.extend(told);
    }
    check_sources(project, id, resolved, work)?;
    Ok(Made { outputs, metrics })
}

fn output_content(
    work: &Path,
    name: &str,
    output: &crate::flow::Output,
    path: &Path,
) -> Result<(PathBuf, Content), Failed> {
    let shown = &output.path;
    let found = path.metadata().map_err(|_| {
        Failed::stage(format!(
            "the stage did not write its output '{name}' ({shown})"
        ))
    })?;
    // Without a slash at the end, behind which a link would not show as one.
    let path: &Path = &path.components().collect::<PathBuf>();
    let real = match is_plain(work, path) {
        true => Some(path.to_path_buf()),
        false => path
            .canonicalize()
            .ok()
            .filter(|real| work.canonicalize().is_ok_and(|work| real.starts_with(work))),
    };
    let Some(plain) = real else {
        return Err(Failed::stage(format!(
            "output '{name}' ({shown}) is a link out of the work directory"
        )));
    };
    if output.directory != found.is_dir() {
        let (declared, actual) = if output.directory {
            ("directory", "file")
        } else {
            ("file", "directory")
        };
        let mut message =
            format!("output '{name}' ({shown}) is declared as a {declared} but is a {actual}");
        if !found.is_dir() && !found.is_file() {
            message = format!("output '{name}' ({shown}) is neither a file nor a directory");
        }
        return Err(Failed::Stage {
            message,
            hint: Some("a trailing '/' in the flow file declares a directory".to_string()),
            kind: None,
        });
    }
    let content = fresh_content(&plain).map_err(|message| {
        let message = message.replace(&format!("{}/", work.display()), "");
        Failed::stage(format!("output '{name}': {message}"))
    })?;
    Ok((plain, content))
}

/// Whether nothing on the way from the work directory to a path is a link.
fn is_plain(work: &Path, path: &Path) -> bool {
    let ways = path.ancestors().take_while(|way| *way != work);
    let mut links = ways.map(|way| way.symlink_metadata().map(|found| found.is_symlink()));
    links.all(|link| link.is_ok_and(|link| !link))
}

/// A source that is not what it was when the key was computed makes the try worthless.
fn check_sources(
    project: &Project,
    id: StageId,
    resolved: &Resolved,
    work: &Path,
) -> Result<(), Failed> {
    for part in &resolved.staged {
        let StagedFrom::Source(path) = &part.from else {
            continue;
        };
        let now = project.store.source_content(&project.dir.join(path)).ok();
        if now
            .as_ref()
            .is_none_or(|content| content.digest.to_string() != part.digest)
        {
            return Err(changed(part, &first_change(work, part, path, now)));
        }
    }
    let stage = project.flow.stage(id);
    for (name, input) in &stage.inputs {
        for source in &input.sources {
            let crate::flow::SourceKind::Glob(pattern) = &source.kind else {
                continue;
            };
            let before = project.sources.files(&source.kind).unwrap_or_default();
            let now = super::sources::expand(&project.dir, &source.kind).unwrap_or_default();
            if *before == now {
                continue;
            }
            let other = now.iter().find(|file| !before.contains(file));
            if let Some(file) = other.or_else(|| before.iter().find(|file| !now.contains(file))) {
                let file = file.display();
                return Err(Failed::stage(format!(
                    "input '{name}' changed while the stage ran: {file} ('{pattern}' matches other files now)"
                )));
            }
        }
    }
    if let Runs::Plugin { id, digest, .. } = &resolved.preimage.runs {
        if let Some(plugin) = project.flow.plugins.get(id) {
            let now = project.store.stat.digest(&project.dir.join(&plugin.path));
            if !now.is_ok_and(|(now, _, _)| now.to_string() == *digest) {
                return Err(Failed::Stage {
                    message: format!(
                        "the plugin '{id}' changed while the stage ran: {}",
                        plugin.path
                    ),
                    hint: Some(RUN_AGAIN.to_string()),
                    kind: Some(sdk::Failure::Input),
                });
            }
        }
    }
    Ok(())
}

/// The file that changed: of a folder the first one in it that is not what the stage was given.
fn first_change(work: &Path, part: &Staged, path: &Path, now: Option<Content>) -> PathBuf {
    let listing = |content: Option<Content>| -> BTreeMap<String, TreeEntry> {
        let entries = content.and_then(|content| content.tree).unwrap_or_default();
        let named = |entry: TreeEntry| (entry.path().to_string(), entry);
        entries.entries.into_iter().map(named).collect()
    };
    let given = listing(fresh_content(&work.join(&part.path)).ok());
    let now = listing(now);
    let other = given
        .keys()
        .chain(now.keys())
        .find(|name| given.get(*name) != now.get(*name));
    match other {
        Some(name) => path.join(decode_path(name)),
        None => path.to_path_buf(),
    }
}

/// Moves the outputs into the store.
pub fn keep(
    project: &Project,
    made: &Made,
    unsynced: &mut Unsynced,
) -> Result<BTreeMap<String, OutputRecord>, Failed> {
    let mut records = BTreeMap::new();
    for (name, (path, content)) in &made.outputs {
        records.insert(name.clone(), project.store.take(path, content, unsynced)?);
    }
    Ok(records)
}

/// Keeps the log of a good run.
pub fn keep_log(
    project: &Project,
    log: &Path,
    unsynced: &mut Unsynced,
) -> Result<Option<Digest>, Failed> {
    let bytes = std::fs::read(log).unwrap_or_default();
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(Some(project.store.put_bytes(&bytes, unsynced)?))
}

/// What a failed stage told of its failure, in `result.json`.
pub fn told_failure(work: &Path) -> Option<sdk::Outcome> {
    let text = std::fs::read_to_string(work.join("result.json")).ok()?;
    serde_json::from_str(&text).ok()
}

/// A good result makes its checkpoint needless.
pub fn drop_checkpoint(project: &Project, resolved: &Resolved) {
    let _ = remove_all(&checkpoint_folder(&project.store, &resolved.key.0));
}

/// Closes the work directory after the stage ended.
pub fn clear(work: &Path) {
    if let Err(error) = remove_all(work) {
        tracing::warn!("{}: {error}", work.display());
    }
}

/// Opens a file in the log's place even if its folder is not there yet.
pub fn start_log(path: &Path) -> Result<(), Failed> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(io(folder))?;
    }
    File::create(path).map(drop).map_err(io(path))
}
