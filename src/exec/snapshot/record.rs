//! A snapshot of a run that left every stage fresh.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::events::{Event, Outcome};
use crate::flow::{Body, SourceKind, StageId};
use crate::key::Runs;
use crate::store::{
    encode_path, hash_bytes, Action, Digest, Identity, Kind, Sighting, State, TreeEntry,
};

use super::super::plan::{Resolved, StagedFrom};
use super::super::Project;
use super::files::{Flags, Watched, EVERY_STAGE};
use super::format::Whole;
use super::later::{Kept, Later};
use super::part::{write_flow, Previous};
use super::{Folder, Head, Program, Question, Seen, KEPT};

/// A stage whose result is there and shown.
pub struct Settled<'a> {
    pub id: StageId,
    pub resolved: &'a Resolved,
    pub action: &'a Action,
}

/// Keeps what the run saw. Nothing depends on it, so whatever goes wrong is told to nobody but the log.
pub fn record(project: &Project, state: &State, question: &Question, stages: &[Settled<'_>]) {
    let path = question.path(project.store.root());
    let whole = Builder::new(project).whole(state, question, stages);
    let written = whole
        .ok_or_else(changed_meanwhile)
        .and_then(|whole| write_whole(whole, &path));
    keep(&path, written);
}

/// The same after a run of a part of the flow: the rest is as it was before.
pub fn record_part(project: &Project, state: &State, before: &Previous, stages: &[Settled<'_>]) {
    let path = before.head.question.path(project.store.root());
    let noted = Builder::new(project).part(state, before, stages);
    let written = noted.ok_or_else(changed_meanwhile).and_then(|noted| {
        match noted.later.is_long(before.head.stages) {
            true => write_whole(noted.whole().ok_or_else(changed_meanwhile)?, &path),
            false => noted.later.write(&path),
        }
    });
    keep(&path, written);
}

fn write_whole(whole: Whole<'_>, path: &Path) -> std::io::Result<()> {
    whole.write(path)?;
    Later::forget(path);
    Ok(())
}

fn changed_meanwhile() -> std::io::Error {
    std::io::Error::other("something changed meanwhile")
}

fn keep(path: &Path, written: std::io::Result<()>) {
    if let Err(error) = written {
        tracing::debug!("snapshot: {error}");
        Later::remove(path);
    }
    drop_old(path.parent().unwrap_or(Path::new("")));
}

fn drop_old(folder: &Path) {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| !Later::is_one(&entry.path()))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    found.sort();
    for (_, path) in found.iter().rev().skip(KEPT) {
        Later::remove(path);
    }
}

struct Builder<'a> {
    project: &'a Project,
    files: HashMap<(OsString, bool), Watched>,
    folders: Vec<Folder>,
    globs: BTreeMap<String, Vec<String>>,
}

/// What is to be noted beside a snapshot after a run of a part.
struct Noted<'a> {
    before: &'a Previous,
    later: Later,
}

impl<'a> Noted<'a> {
    /// Snapshot and notes as one.
    fn whole(self) -> Option<Whole<'a>> {
        let before = self.before;
        let head = self
            .later
            .head
            .clone()
            .unwrap_or_else(|| before.head.clone());
        Some(Whole {
            head: Cow::Owned(head),
            files: before.all_files(&self.later)?,
            lines: before.all_lines(&self.later)?,
            flow: before.flow()?,
        })
    }
}

impl<'a> Builder<'a> {
    fn new(project: &'a Project) -> Builder<'a> {
        Builder {
            project,
            files: HashMap::new(),
            folders: Vec::new(),
            globs: BTreeMap::new(),
        }
    }

    fn whole(
        mut self,
        state: &State,
        question: &Question,
        stages: &[Settled<'_>],
    ) -> Option<Whole<'static>> {
        let project = self.project;
        let mut lines = Vec::with_capacity(stages.len());
        for (number, stage) in stages.iter().enumerate() {
            self.stage(u32::try_from(number).ok()?, stage)?;
            lines.push(self.line(stage)?.into_bytes().into());
        }
        let flow = project.dir.join(&question.file);
        let kind = Identity::of(&flow.metadata().ok()?).kind();
        let digest = hash_bytes(kind, project.text().as_bytes());
        self.file(&flow, true, kind, digest, EVERY_STAGE);
        self.state(state)?;
        let mut tools = BTreeMap::new();
        for (program, (place, digest)) in project.tools.places() {
            let kind = Identity::of(&place.metadata().ok()?).kind();
            self.file(&place, true, kind, digest, EVERY_STAGE);
            tools.insert(program, encode_path(&place));
        }
        let env = project.flow.env.iter().map(|name| {
            let value = std::env::var_os(name).map(|value| encode_path(Path::new(&value)));
            (name.clone(), value)
        });
        let head = Head {
            program: Program::own()?,
            question: question.clone(),
            stages: stages.len(),
            env: env.collect(),
            tools,
            globs: self.globs,
            folders: self.folders,
        };
        let order: Vec<StageId> = stages.iter().map(|stage| stage.id).collect();
        let written = write_flow(project, &order)?;
        Some(Whole {
            head: Cow::Owned(head),
            files: self.files.into_values().collect(),
            lines,
            flow: written,
        })
    }

    fn part<'p>(
        mut self,
        state: &State,
        before: &'p Previous,
        stages: &[Settled<'_>],
    ) -> Option<Noted<'p>> {
        let mut later = before.later.clone();
        let mut redone = HashSet::new();
        let mut owned = BTreeSet::new();
        for stage in stages {
            let number = *before.numbers.get(stage.id.0)?;
            redone.insert(number);
            owned.extend(before.file.stage(number)?.files);
            self.stage(number, stage)?;
            later.lines.insert(number, self.line(stage)?);
        }
        self.state(state)?;
        later.disown(&redone);
        // A file of the snapshot is noted under its number, if these stages had it; another stage's may stand twice.
        owned.extend(&before.every);
        for number in &owned {
            let mut file = match later.files.get(number) {
                Some(Some(kept)) => kept.watched(before.original(*number)?.path),
                Some(None) => before.original(*number)?.of_none(),
                None => before.original(*number)?,
            };
            let key = (file.path.clone().into_os_string(), file.flags.follow);
            let every = file.owners.contains(&EVERY_STAGE);
            file.owners.retain(|owner| !redone.contains(owner));
            let now = match self.files.remove(&key) {
                Some(mut now) => {
                    now.own(&file.owners);
                    Some(now)
                }
                None if every => continue,
                None => Some(file),
            };
            let kept = now.filter(|file| !file.owners.is_empty());
            later.files.insert(*number, kept.as_ref().map(Kept::of));
        }
        for file in self.files.values_mut() {
            if let Some(known) = later.get_added(&file.path, file.flags.follow) {
                file.own(&known.owners);
            }
            later.add(file);
        }
        let mut head = before.head.clone();
        for mut folder in std::mem::take(&mut head.folders) {
            folder.owners.retain(|owner| !redone.contains(owner));
            if !folder.owners.is_empty() {
                head.folders.push(folder);
            }
        }
        head.folders.append(&mut self.folders);
        head.globs.append(&mut self.globs);
        if head != before.head {
            later.head = Some(head);
        }
        Some(Noted { before, later })
    }

    fn line(&self, settled: &Settled<'_>) -> Option<String> {
        let event = Event::StageFinished {
            stage: self.project.flow.stage(settled.id).name.clone(),
            outcome: Outcome::Cached,
            seconds: 0.0,
            key: Some(settled.action.key.to_string()),
            message: None,
            hint: None,
            failure: None,
        };
        let mut line = serde_json::to_string(&event).ok()?;
        line.push('\n');
        Some(line)
    }

    fn state(&mut self, state: &State) -> Option<()> {
        let log = self.project.store.root().join("state");
        self.file(&log, false, Kind::File, state.digest()?, EVERY_STAGE);
        Some(())
    }

    /// `None` if something about the stage cannot be told.
    fn stage(&mut self, owner: u32, settled: &Settled<'_>) -> Option<()> {
        let project = self.project;
        let store = &project.store;
        let stage = project.flow.stage(settled.id);
        for part in &settled.resolved.staged {
            if let StagedFrom::Source(path) = &part.from {
                let digest = Digest::parse(&part.digest)?;
                self.content(&project.dir.join(path), true, part.kind, digest, owner)?;
            }
        }
        for source in stage.inputs.values().flat_map(|input| &input.sources) {
            if let SourceKind::Glob(pattern) = &source.kind {
                let files = project.sources.files(&source.kind)?;
                let files = files.iter().map(|path| encode_path(path)).collect();
                self.globs.insert(pattern.clone(), files);
            }
        }
        self.program(&stage.body, &settled.resolved.preimage.runs, owner)?;
        let key = &settled.action.key;
        let seen = store.action_sighting(key)?;
        self.file(
            &store.action_path(key),
            false,
            Kind::File,
            seen.digest,
            owner,
        );
        let shown = store.artifacts(&stage.name);
        for (name, output) in &stage.outputs {
            let record = settled.action.outputs.get(name)?;
            self.object(&record.digest, record.kind, owner);
            if record.kind == Kind::Directory {
                let tree = store.tree(&record.digest).ok()?;
                for (digest, kind) in tree.entries.iter().filter_map(TreeEntry::file) {
                    self.object(&digest, kind, owner);
                }
            }
            self.content(
                &shown.join(&output.path),
                false,
                record.kind,
                record.digest,
                owner,
            )?;
        }
        Some(())
    }

    /// Files of a plugin or wrapper. A plugin that ships with nanoflow is in the program itself.
    fn program(&mut self, body: &Body, runs: &Runs, owner: u32) -> Option<()> {
        let project = self.project;
        match (body, runs) {
            (Body::Uses(name), Runs::Plugin { digest, .. }) => {
                if let Some(plugin) = project.flow.plugins.get(name) {
                    let path = project.dir.join(&plugin.path);
                    let kind = Identity::of(&path.metadata().ok()?).kind();
                    self.file(&path, true, kind, Digest::parse(digest)?, owner);
                }
            }
            (Body::Wrapper(name), Runs::Wrapper { files, .. }) => {
                let wrapper = project.programs.wrapper(&project.dir, name).ok()?;
                for (file, digest) in files {
                    let path = wrapper.folder.join(file);
                    let kind = Identity::of(&path.metadata().ok()?).kind();
                    self.file(&path, true, kind, Digest::parse(digest)?, owner);
                }
            }
            (Body::Shell(_) | Body::Argv(_), _) => {}
            _ => return None,
        }
        Some(())
    }

    fn object(&mut self, digest: &Digest, kind: Kind, owner: u32) {
        let path = self.project.store.object_path(digest);
        self.file(&path, false, kind, *digest, owner);
    }

    fn content(
        &mut self,
        path: &Path,
        source: bool,
        kind: Kind,
        digest: Digest,
        owner: u32,
    ) -> Option<()> {
        if kind != Kind::Directory {
            self.file(path, source, kind, digest, owner);
            return Some(());
        }
        let name = encode_path(&self.relative(path));
        let known = self
            .folders
            .iter_mut()
            .find(|folder| folder.path == name && folder.digest == digest);
        if let Some(folder) = known {
            folder.owners.push(owner);
            return Some(());
        }
        let store = &self.project.store;
        let tree = match source {
            true => store.source_content(path).ok()?.tree?,
            false => store.tree(&digest).ok()?,
        };
        let seen = tree.entries.iter().filter_map(|entry| {
            let file = path.join(crate::store::decode_path(entry.path()));
            let sighting = store.stat.sighting(&file).filter(Sighting::trusted)?;
            Some((entry.path().to_string(), Seen::of(&sighting)))
        });
        let seen = seen.collect();
        self.folders.push(Folder {
            path: name,
            source,
            digest,
            seen,
            owners: vec![owner],
        });
        Some(())
    }

    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.project.dir)
            .unwrap_or(path)
            .to_path_buf()
    }

    fn file(&mut self, path: &Path, follow: bool, kind: Kind, digest: Digest, owner: u32) {
        let sighting = self.project.store.stat.sighting(path);
        let sighting = sighting.filter(|sighting| sighting.digest == digest);
        let identity = sighting.map(|sighting| sighting.identity);
        let flags = Flags {
            follow,
            executable: identity.map_or(kind == Kind::Executable, |seen| seen.executable),
            trusted: sighting.is_some_and(|sighting| sighting.trusted()),
            listing: kind == Kind::Directory,
        };
        let path = self.relative(path);
        let watched = self
            .files
            .entry((path.clone().into_os_string(), follow))
            .or_insert_with(|| Watched {
                path,
                flags,
                identity: identity.unwrap_or_default(),
                digest,
                owners: Vec::new(),
            });
        if watched.digest != digest {
            // Two looks that do not agree: it is read next time, and differs from one of them.
            watched.flags.trusted = false;
        }
        watched.owners.push(owner);
    }
}
