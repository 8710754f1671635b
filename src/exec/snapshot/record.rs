//! A snapshot of a run that left every stage fresh.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
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
use super::format::{self, Flags, Watched, Written, EVERY_STAGE};
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
    let sections = Builder::new(project).whole(state, question, stages);
    keep(project, question, sections);
}

/// The same after a run of a part of the flow: the rest is as it was before.
pub fn record_part(project: &Project, state: &State, before: &Previous, stages: &[Settled<'_>]) {
    let sections = Builder::new(project).part(state, before, stages);
    keep(project, &before.head.question, sections);
}

fn keep(project: &Project, question: &Question, sections: Option<Sections>) {
    let path = question.path(project.store.root());
    let written = match sections {
        Some((watch, lines, rest)) => format::write(&path, &watch, &lines, &rest),
        None => Err(std::io::Error::other("something changed meanwhile")),
    };
    if let Err(error) = written {
        tracing::debug!("snapshot: {error}");
        let _ = std::fs::remove_file(&path);
    }
    drop_old(path.parent().unwrap_or(Path::new("")));
}

fn drop_old(folder: &Path) {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    found.sort();
    for (_, path) in found.iter().rev().skip(KEPT) {
        let _ = std::fs::remove_file(path);
    }
}

/// The head, as the watch section begins with it.
pub fn put_head(head: &Head, out: &mut Vec<u8>) {
    // Text, numbers and maps with text as keys: this cannot fail; an empty head is read as damage.
    let text = serde_json::to_vec(head).unwrap_or_default();
    out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(0).to_le_bytes());
    out.extend_from_slice(&text);
}

struct Builder<'a> {
    project: &'a Project,
    files: HashMap<(OsString, bool), Watched>,
    folders: Vec<Folder>,
    globs: BTreeMap<String, Vec<String>>,
}

type Sections = (Vec<u8>, Vec<u8>, Vec<u8>);

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
    ) -> Option<Sections> {
        let project = self.project;
        let mut lines = Vec::with_capacity(stages.len() * 150);
        for (number, stage) in stages.iter().enumerate() {
            self.stage(u32::try_from(number).ok()?, stage)?;
            self.line(stage, &mut lines)?;
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
        let mut files: Vec<Watched> = self.files.into_values().collect();
        let (mut watch, mut rest) = (Vec::new(), Vec::new());
        put_head(&head, &mut watch);
        format::encode_files(&mut files, &mut watch);
        format::encode_rest(&files, &written, &mut rest);
        Some((watch, lines, rest))
    }

    fn part(
        mut self,
        state: &State,
        before: &Previous,
        stages: &[Settled<'_>],
    ) -> Option<Sections> {
        let mut lines: Vec<Cow<'_, [u8]>> = before
            .lines
            .split_inclusive(|byte| *byte == b'\n')
            .map(Cow::Borrowed)
            .collect();
        let mut redone = HashSet::new();
        for stage in stages {
            let number = *before.numbers.get(stage.id.0)?;
            redone.insert(number);
            self.stage(number, stage)?;
            let mut line = Vec::new();
            self.line(stage, &mut line)?;
            *lines.get_mut(number as usize)? = Cow::Owned(line);
        }
        self.state(state)?;
        let rest = format::Rest::decode(&before.rest)?;
        // In their order, so that little is left to sort.
        let mut files = Vec::with_capacity(before.head.stages * 4);
        for mut file in before.files(&rest)? {
            let every = file.owners.contains(&EVERY_STAGE);
            file.owners.retain(|owner| !redone.contains(owner));
            let key = (file.path.clone().into_os_string(), file.flags.follow);
            match self.files.get_mut(&key) {
                Some(now) if !every => now.owners.extend(file.owners),
                Some(_) => {}
                None if !file.owners.is_empty() => files.push(file),
                None => {}
            }
        }
        files.extend(self.files.into_values());
        let mut head = before.head.clone();
        for mut folder in std::mem::take(&mut head.folders) {
            folder.owners.retain(|owner| !redone.contains(owner));
            if !folder.owners.is_empty() {
                head.folders.push(folder);
            }
        }
        head.folders.append(&mut self.folders);
        head.globs.append(&mut self.globs);
        let written = Written {
            frame: rest.frame.to_vec(),
            stages: rest
                .stages
                .iter()
                .zip(0..)
                .map(|(stage, number)| {
                    let downstream = rest.downstream(number).collect();
                    (Cow::Borrowed(*stage), downstream)
                })
                .collect(),
        };
        let (mut watch, mut out) = (Vec::new(), Vec::new());
        put_head(&head, &mut watch);
        format::encode_files(&mut files, &mut watch);
        format::encode_rest(&files, &written, &mut out);
        Some((watch, lines.concat(), out))
    }

    fn line(&self, settled: &Settled<'_>, out: &mut Vec<u8>) -> Option<()> {
        let event = Event::StageFinished {
            stage: self.project.flow.stage(settled.id).name.clone(),
            outcome: Outcome::Cached,
            seconds: 0.0,
            key: Some(settled.action.key.to_string()),
            message: None,
            hint: None,
            failure: None,
        };
        serde_json::to_writer(&mut *out, &event).ok()?;
        out.push(b'\n');
        Some(())
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
