//! A flow in which little changed: the stages that can be touched by it become a flow of their own, in which the results
//! around them are given.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::flow::{Flow, SourceKind, Stage, StageId};
use crate::key::ActionKey;
use crate::store::{decode_path, now_ns, Sighting, StatCache};

use super::super::Project;
use super::format::{Cursor, Rest, Watched, Written, EVERY_STAGE};
use super::look::Line;
use super::Head;

/// Part of the stages that may be gone through one by one; with more of them the long way is as good.
const MOST: usize = 4;

/// A snapshot of which some stages are not what they were.
pub struct Changed {
    pub(super) base: PathBuf,
    pub(super) head: Head,
    /// The watch section without the head.
    pub(super) files: Vec<u8>,
    pub(super) lines: Vec<u8>,
    pub(super) rest: Vec<u8>,
    pub(super) stages: BTreeSet<u32>,
}

/// The snapshot before, for the one after.
#[derive(Debug)]
pub struct Previous {
    pub(super) head: Head,
    files: Vec<u8>,
    pub(super) lines: Vec<u8>,
    pub(super) rest: Vec<u8>,
    /// Number in the snapshot of each stage of the part.
    pub(super) numbers: Vec<u32>,
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
    /// The part of the flow; `None` if it is not worth it or cannot be told.
    pub fn part(self) -> Option<Part> {
        let rest = Rest::decode(&self.rest)?;
        let touched = downstream(&rest, &self.stages);
        if touched.len() * MOST > self.head.stages + 64 {
            return None;
        }
        let mut stages: BTreeMap<u32, Stage> = BTreeMap::new();
        let mut around = BTreeSet::new();
        for number in &touched {
            let stage = read_stage(&rest, *number)?;
            around.extend(upstream(&stage));
            stages.insert(*number, stage);
        }
        around.retain(|number| !touched.contains(number));
        for number in &around {
            let mut stage = read_stage(&rest, *number)?;
            stage.inputs.clear();
            stages.insert(*number, stage);
        }
        let numbers: Vec<u32> = stages.keys().copied().collect();
        let place: HashMap<u32, StageId> =
            numbers.iter().copied().zip((0..).map(StageId)).collect();
        let mut flow: Flow = serde_json::from_slice(rest.frame).ok()?;
        for mut stage in stages.into_values() {
            renumber(&mut stage, |number| place.get(&number).copied())?;
            flow.stages.push(stage);
        }
        let lines: Vec<&[u8]> = self.lines.split_inclusive(|byte| *byte == b'\n').collect();
        let key = |number: &u32| -> Option<ActionKey> {
            let line: Line = serde_json::from_slice(lines.get(*number as usize)?).ok()?;
            Some(line.key)
        };
        let given = around
            .iter()
            .map(|number| Some((*place.get(number)?, key(number)?)))
            .collect::<Option<Vec<_>>>()?;
        let order = touched
            .iter()
            .map(|number| place.get(number).copied())
            .collect::<Option<Vec<_>>>()?;
        let others = lines.iter().zip(0..);
        let aside = others
            .filter(|(_, number)| !touched.contains(number))
            .flat_map(|(line, _)| line.iter().copied())
            .collect();
        let aside_count = self.head.stages - touched.len();
        let stat = self.sightings(&rest, &numbers)?;
        let file = self.base.join(&self.head.question.file);
        let project = Project::part(&file, flow, stat)?;
        let Changed {
            head,
            files,
            lines,
            rest,
            ..
        } = self;
        let previous = Arc::new(Previous {
            head,
            files,
            lines,
            rest,
            numbers,
        });
        Some(Part {
            project,
            order,
            given,
            aside,
            aside_count,
            previous,
        })
    }

    /// What is known of the files of these stages.
    fn sightings(&self, rest: &Rest<'_>, stages: &[u32]) -> Option<StatCache> {
        let base = self.base.canonicalize().ok()?;
        let mut known = Vec::new();
        let look_ns = now_ns();
        let ours = |owner: u32| owner == EVERY_STAGE || stages.binary_search(&owner).is_ok();
        for (number, file) in (0..).zip(read_files(&self.files)?) {
            if file.flags.trusted && rest.owners(number).any(ours) {
                let sighting = Sighting {
                    identity: file.identity,
                    look_ns,
                    digest: rest.digest(number)?,
                };
                known.push((base.join(file.path), sighting));
            }
        }
        for folder in &self.head.folders {
            if folder.owners.iter().copied().any(ours) {
                let path = base.join(decode_path(&folder.path));
                let seen = folder.seen.iter();
                known.extend(
                    seen.map(|(name, seen)| (path.join(decode_path(name)), seen.sighting())),
                );
            }
        }
        Some(StatCache::of(known))
    }
}

impl Previous {
    /// All watched files, with the stages that they belong to.
    pub(super) fn files(&self, rest: &Rest<'_>) -> Option<Vec<Watched>> {
        let mut files = read_files(&self.files)?;
        for (number, file) in files.iter_mut().enumerate() {
            file.digest = rest.digest(number)?;
            file.owners = rest.owners(number).collect();
        }
        Some(files)
    }
}

/// The files of a watch section, still without digests and owners.
fn read_files(bytes: &[u8]) -> Option<Vec<Watched>> {
    let path = |name: &std::ffi::CStr| PathBuf::from(OsStr::from_bytes(name.to_bytes()));
    let mut cursor = Cursor::new(bytes);
    let mut files = Vec::new();
    for _ in 0..cursor.number()? {
        let folder = path(cursor.name()?);
        for _ in 0..cursor.number()? {
            let entry = cursor.entry()?;
            files.push(Watched {
                path: folder.join(path(entry.name)),
                flags: entry.flags,
                identity: entry.identity,
                digest: crate::store::Digest([0; 32]),
                owners: Vec::new(),
            });
        }
    }
    Some(files)
}

/// These stages and all that depends on them.
fn downstream(rest: &Rest<'_>, stages: &BTreeSet<u32>) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut stack: Vec<u32> = stages.iter().copied().collect();
    while let Some(number) = stack.pop() {
        if found.insert(number) {
            stack.extend(rest.downstream(number));
        }
    }
    found
}

fn read_stage(rest: &Rest<'_>, number: u32) -> Option<Stage> {
    let bytes = rest.stages.get(number as usize)?;
    let stage: Stage = serde_json::from_slice(bytes).ok()?;
    // Numbers must come out as they went in, to the last bit.
    (serde_json::to_vec(&stage).ok()?.as_slice() == *bytes).then_some(stage)
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
        frame: serde_json::to_vec(&frame).ok()?,
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
