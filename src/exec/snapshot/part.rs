//! A flow in which little changed: the stages that can be touched by it become a flow of their own, in which the results
//! around them are given.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::flow::{Flow, SourceKind, Stage, StageId};
use crate::key::ActionKey;
use crate::store::{decode_path, now_ns, Digest, Sighting, StatCache};

use super::super::Project;
use super::files::{Cursor, Watched, EVERY_STAGE};
use super::format::{File, Record, Written};
use super::later::{Kept, Later};
use super::look::{lines_but, Line};
use super::Head;

/// Part of the stages that may be gone through one by one; with more of them the long way is as good.
const MOST: usize = 4;

/// A snapshot with what is known later than it.
#[derive(Debug)]
pub struct Previous {
    pub(super) file: File,
    pub(super) later: Later,
    pub(super) head: Head,
    watch: Vec<u8>,
    /// Where each file's folder and the file itself stand in the watch section.
    places: Vec<(usize, usize)>,
    /// Files that belong to every stage.
    pub(super) every: Vec<u32>,
    pub(super) frame: Vec<u8>,
    /// Number in the snapshot of each stage of the part.
    pub(super) numbers: Vec<u32>,
}

/// A snapshot of which some stages are not what they were.
pub struct Changed {
    base: PathBuf,
    previous: Previous,
    stages: BTreeSet<u32>,
}

/// A flow of the stages that may have changed.
pub struct Part {
    pub project: Project,
    /// Stages to bring up to date.
    pub order: Vec<StageId>,
    /// Results around them.
    pub given: Vec<(StageId, ActionKey)>,
    /// What is told of all stages that are not in the part.
    pub aside: Vec<u8>,
    pub aside_count: usize,
    pub previous: Arc<Previous>,
}

impl Changed {
    /// `files_at` is where the files begin in the watch section.
    pub(super) fn new(
        base: &Path,
        file: File,
        later: Later,
        head: Head,
        watch: Vec<u8>,
        files_at: usize,
        stages: BTreeSet<u32>,
    ) -> Option<Changed> {
        let (frame, every) = file.frame()?;
        let places = places(&watch, files_at)?;
        let previous = Previous {
            file,
            later,
            head,
            watch,
            places,
            every,
            frame,
            numbers: Vec::new(),
        };
        Some(Changed {
            base: base.to_path_buf(),
            previous,
            stages,
        })
    }

    /// The part of the flow; `None` if it is not worth it or cannot be told.
    pub fn part(self) -> Option<Part> {
        let Changed {
            base,
            mut previous,
            stages,
        } = self;
        let touched = previous.downstream(&stages)?;
        let total = previous.head.stages;
        if touched.len() * MOST > total + 64 {
            return None;
        }
        let mut records: BTreeMap<u32, (Record, Stage)> = BTreeMap::new();
        let mut around = BTreeSet::new();
        for number in &touched {
            let (record, stage) = previous.stage(*number)?;
            around.extend(upstream(&stage));
            records.insert(*number, (record, stage));
        }
        around.retain(|number| !touched.contains(number));
        for number in &around {
            let (record, mut stage) = previous.stage(*number)?;
            stage.inputs.clear();
            records.insert(*number, (record, stage));
        }
        let numbers: Vec<u32> = records.keys().copied().collect();
        let place: HashMap<u32, StageId> =
            numbers.iter().copied().zip((0..).map(StageId)).collect();
        let given = around
            .iter()
            .map(|number| {
                let (record, _) = records.get(number)?;
                Some((*place.get(number)?, previous.key(*number, record)?))
            })
            .collect::<Option<Vec<_>>>()?;
        let order = touched
            .iter()
            .map(|number| place.get(number).copied())
            .collect::<Option<Vec<_>>>()?;
        let stat = previous.sightings(&base, &records)?;
        let mut flow: Flow = serde_json::from_slice(&previous.frame).ok()?;
        for (_, mut stage) in records.into_values() {
            renumber(&mut stage, |number| place.get(&number).copied())?;
            flow.stages.push(stage);
        }
        let aside = lines_but(&previous.file, &previous.later, &touched, Vec::new())?;
        let file = base.join(&previous.head.question.file);
        let project = Project::part(&file, flow, stat)?;
        previous.numbers = numbers;
        Some(Part {
            project,
            order,
            given,
            aside,
            aside_count: total - touched.len(),
            previous: Arc::new(previous),
        })
    }
}

impl Previous {
    /// These stages and all that depends on them.
    fn downstream(&self, stages: &BTreeSet<u32>) -> Option<BTreeSet<u32>> {
        let mut found = BTreeSet::new();
        let mut stack: Vec<u32> = stages.iter().copied().collect();
        while let Some(number) = stack.pop() {
            if found.insert(number) {
                stack.extend(self.file.stage(number)?.downstream);
            }
        }
        Some(found)
    }

    fn stage(&self, number: u32) -> Option<(Record, Stage)> {
        let record = self.file.stage(number)?;
        let stage: Stage = serde_json::from_slice(&record.json).ok()?;
        // Numbers must come out as they went in, to the last bit.
        let same = serde_json::to_vec(&stage).ok()? == record.json;
        same.then_some((record, stage))
    }

    fn key(&self, number: u32, record: &Record) -> Option<ActionKey> {
        let line: Line = match self.later.lines.get(&number) {
            Some(line) => serde_json::from_str(line).ok()?,
            None => serde_json::from_slice(&self.file.line(record)?).ok()?,
        };
        Some(line.key)
    }

    /// A file of the snapshot as it was when that was written.
    pub(super) fn original(&self, number: u32) -> Option<Watched> {
        let mut file = self.place(number)?;
        file.digest = self.file.digest(number)?;
        file.owners = self.file.owners(number)?;
        Some(file)
    }

    /// A file of the snapshot as it is known later; `None` within if no stage needs it any more.
    fn known_by(&self, later: &Later, number: u32) -> Option<Option<Watched>> {
        match later.files.get(&number) {
            None => self.original(number).map(Some),
            Some(None) => Some(None),
            Some(Some(kept)) => Some(Some(kept.watched(self.place(number)?.path))),
        }
    }

    /// Without its digest and owners.
    fn place(&self, number: u32) -> Option<Watched> {
        let (folder_at, file_at) = *self.places.get(number as usize)?;
        let path = |name: &std::ffi::CStr| PathBuf::from(OsStr::from_bytes(name.to_bytes()));
        let folder = path(Cursor::at_place(&self.watch, folder_at).name()?);
        let entry = Cursor::at_place(&self.watch, file_at).entry()?;
        Some(Watched {
            path: folder.join(path(entry.name)),
            flags: entry.flags,
            identity: entry.identity,
            digest: Digest([0; 32]),
            owners: Vec::new(),
        })
    }

    /// What is known of the files of these stages.
    fn sightings(
        &self,
        base: &Path,
        records: &BTreeMap<u32, (Record, Stage)>,
    ) -> Option<StatCache> {
        let base = base.canonicalize().ok()?;
        let look_ns = now_ns();
        let ours = |owner: &u32| *owner == EVERY_STAGE || records.contains_key(owner);
        let mut files = Vec::new();
        let own = records.values().flat_map(|(record, _)| &record.files);
        for number in own.chain(&self.every).collect::<BTreeSet<_>>() {
            files.extend(self.known_by(&self.later, *number)?);
        }
        let theirs = |kept: &Kept| kept.owners.iter().any(ours);
        for (number, kept) in &self.later.files {
            if let Some(kept) = kept.as_ref().filter(|kept| theirs(kept)) {
                files.push(kept.watched(self.place(*number)?.path));
            }
        }
        let added = self.later.added().filter(|(_, kept)| theirs(kept));
        files.extend(added.map(|(path, kept)| kept.watched(path)));
        let mut known: Vec<(PathBuf, Sighting)> = files
            .into_iter()
            .filter(|file| file.flags.trusted)
            .map(|file| {
                let sighting = Sighting {
                    identity: file.identity,
                    look_ns,
                    digest: file.digest,
                };
                (base.join(file.path), sighting)
            })
            .collect();
        for folder in &self.head.folders {
            if folder.owners.iter().any(ours) {
                let path = base.join(decode_path(&folder.path));
                let seen = folder.seen.iter();
                known.extend(
                    seen.map(|(name, seen)| (path.join(decode_path(name)), seen.sighting())),
                );
            }
        }
        Some(StatCache::of(known))
    }

    /// All files that are watched, by what is known now.
    pub(super) fn all_files(&self, later: &Later) -> Option<Vec<Watched>> {
        let mut files = Vec::with_capacity(self.places.len());
        for number in (0..).take(self.places.len()) {
            files.extend(self.known_by(later, number)?);
        }
        files.extend(later.added().map(|(path, kept)| kept.watched(path)));
        Some(files)
    }

    /// The lines of all stages.
    pub(super) fn all_lines(&self, later: &Later) -> Option<Vec<Cow<'_, [u8]>>> {
        let lines = lines_but(&self.file, later, &BTreeSet::new(), Vec::new())?;
        let lines = lines.split_inclusive(|byte| *byte == b'\n');
        Some(lines.map(|line| Cow::Owned(line.to_vec())).collect())
    }

    /// The flow, which no change of files has changed.
    pub(super) fn flow(&self) -> Option<Written<'_>> {
        let stages = (0..).take(self.head.stages);
        let stages = stages.map(|number| {
            let record = self.file.stage(number)?;
            Some((record.json.into(), record.downstream))
        });
        Some(Written {
            frame: self.frame.as_slice().into(),
            stages: stages.collect::<Option<_>>()?,
        })
    }
}

/// Where the files stand in a watch section.
fn places(watch: &[u8], files_at: usize) -> Option<Vec<(usize, usize)>> {
    let mut cursor = Cursor::at_place(watch, files_at);
    let mut places = Vec::new();
    for _ in 0..cursor.number()? {
        let folder_at = cursor.at();
        cursor.name()?;
        for _ in 0..cursor.number()? {
            places.push((folder_at, cursor.at()));
            cursor.entry()?;
        }
    }
    Some(places)
}

fn upstream(stage: &Stage) -> impl Iterator<Item = u32> + '_ {
    let sources = stage.inputs.values().flat_map(|input| &input.sources);
    sources.filter_map(|source| match &source.kind {
        SourceKind::Output { stage, .. } => u32::try_from(stage.0).ok(),
        _ => None,
    })
}

fn renumber(stage: &mut Stage, place: impl Fn(u32) -> Option<StageId>) -> Option<()> {
    let sources = stage
        .inputs
        .values_mut()
        .flat_map(|input| &mut input.sources);
    for source in sources {
        if let SourceKind::Output { stage, .. } = &mut source.kind {
            *stage = place(u32::try_from(stage.0).ok()?)?;
        }
    }
    Some(())
}

/// The flow of these stages as a snapshot keeps it, with their positions here as their numbers.
pub(super) fn write_flow(project: &Project, order: &[StageId]) -> Option<Written<'static>> {
    let flow = &project.flow;
    let frame = flow.clone_frame();
    let place: HashMap<StageId, u32> = order.iter().copied().zip(0..).collect();
    let mut stages = Vec::with_capacity(order.len());
    for id in order {
        let mut stage = flow.stage(*id).clone();
        renumber(&mut stage, |number| {
            let number = place.get(&StageId(number as usize))?;
            Some(StageId(*number as usize))
        })?;
        let downstream = project.graph.downstream(*id);
        let downstream = downstream
            .filter_map(|next| place.get(&next).copied())
            .collect();
        stages.push((serde_json::to_vec(&stage).ok()?.into(), downstream));
    }
    Some(Written {
        frame: serde_json::to_vec(&frame).ok()?.into(),
        stages,
    })
}

/// The flow file of a part has this folder.
pub(in crate::exec) fn folder_of(file: &Path) -> Option<PathBuf> {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.canonicalize().ok(),
        _ => Path::new(".").canonicalize().ok(),
    }
}
