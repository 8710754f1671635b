//! Where results live: durable, checked, collected.

use super::Mutation;

pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "sync-left-out",
        guarantee: "a result is on the disk before it is known",
        changes: &[("src/store/sync.rs", "        if files.len() + folders.len() > FEW {", "        if files.len() + folders.len() < FEW * 1000 {\n        } else if files.len() + folders.len() > FEW {")],
        tests: &["durable::a_result_is_on_the_disk_before_it_is_known"],
    },
    Mutation {
        name: "known-before-it-is-stored",
        guarantee: "objects are synced before the action is written",
        changes: &[("src/store/sync.rs", "        self.sync(objects)?;\n        let mut written = Unsynced::default();\n        for action in actions {\n            self.write_action(&action, &mut written)?;\n        }", "        let mut written = Unsynced::default();\n        for action in actions {\n            self.write_action(&action, &mut written)?;\n        }\n        self.sync(objects)?;")],
        tests: &["durable::a_result_is_on_the_disk_before_it_is_known"],
    },
    Mutation {
        name: "digest-not-checked-on-restore",
        guarantee: "every byte that leaves the cache is checked",
        changes: &[("src/store/objects.rs", "        if actual != *digest {\n            let _ = std::fs::remove_file(to);", "        if actual != *digest && to.as_os_str().is_empty() {\n            let _ = std::fs::remove_file(to);")],
        tests: &["content::every_byte_is_checked_on_its_way_out"],
    },
    Mutation {
        name: "lost-objects-not-missed",
        guarantee: "a result whose object is gone or damaged is made again",
        changes: &[("src/exec/plan.rs", "if complete && action.outputs.values().all(|record| store.holds(record)) {", "if complete {")],
        tests: &["results::damage_is_made_again"],
    },
    Mutation {
        name: "damaged-actions-taken",
        guarantee: "an action carries a digest of itself",
        changes: &[("src/store/actions.rs", "    if blake3::hash(body.as_bytes()).to_hex().as_str() != check {", "    if check.is_empty() {")],
        tests: &["results::damaged_actions_are_made_again"],
    },
    Mutation {
        name: "damaged-snapshot-taken",
        guarantee: "damage to what was seen last is noticed",
        changes: &[
            ("src/exec/snapshot/format.rs", "        check == Some(blake3::hash(bytes).as_bytes())", "        check.is_some_and(|check| check.len() == bytes.len().min(32))"),
        ],
        tests: &["disk::any_byte_of_what_was_seen_last_may_change"],
    },
    Mutation {
        name: "damaged-note-taken",
        guarantee: "damage to what was noted beside what was seen is noticed",
        changes: &[("src/exec/snapshot/later.rs", "            if blake3::hash(content).as_bytes() != check {", "            if check.is_empty() {")],
        tests: &["disk::any_byte_of_what_was_seen_last_may_change"],
    },
    Mutation {
        name: "damaged-stat-cache-taken",
        guarantee: "damage to the stat cache is noticed",
        changes: &[
            ("src/store/stat.rs", "    if blake3::hash(content).as_bytes() != check {", "    if check.is_empty() {"),
        ],
        tests: &["disk::any_byte_of_what_was_seen_last_may_change"],
    },
    Mutation {
        name: "objects-can-be-written-to",
        guarantee: "objects are read-only",
        changes: &[
            ("src/store/objects.rs", "            0o444\n        };\n        let store", "            0o644\n        };\n        let store"),
        ],
        tests: &["content::objects_are_read_only_and_shared_with_nobody"],
    },
    Mutation {
        name: "artifacts-are-the-objects",
        guarantee: "editing an artifact never harms the cache",
        changes: &[
            ("src/store/objects.rs", "        let written = self.write_out(&record.digest, record.kind, &temporary, Access::ReadWrite);", "        let written = match record.kind {\n            Kind::Directory => self.write_out(&record.digest, record.kind, &temporary, Access::ReadWrite),\n            _ => std::fs::hard_link(self.object_path(&record.digest), &temporary).map_err(io(&temporary)),\n        };"),
        ],
        tests: &["content::objects_are_read_only_and_shared_with_nobody"],
    },
    Mutation {
        name: "artifacts-not-restored",
        guarantee: "artifacts that were edited or deleted are restored",
        changes: &[("src/store/objects.rs", "        if there {\n            return Ok(false);", "        if there || to.exists() {\n            return Ok(false);")],
        tests: &["results::artifacts_are_restored_and_never_harm_the_cache"],
    },
    Mutation {
        name: "old-artifacts-left",
        guarantee: "artifacts show what is declared",
        changes: &[("src/store/mod.rs", "        let _ = remove_all(path);\n        return;", "        return;")],
        tests: &["content::artifacts_of_outputs_that_moved_go"],
    },
    Mutation {
        name: "lost-memo-loses-results",
        guarantee: "a lost memo alone runs nothing",
        changes: &[
            ("src/store/memo.rs", "                if let Some(action) = store.action(&key) {\n                    if let Some(bytes) = entry(store, &action) {\n                        let _ = memo.tree.insert(key.0.as_bytes(), bytes);\n                    }\n                }", "                store.drop_action(&key);"),
        ],
        tests: &["results::damage_is_made_again"],
    },
    Mutation {
        name: "gc-forgets-what-folders-hold",
        guarantee: "`gc` keeps what kept runs reach: files in folders",
        changes: &[
            ("src/store/collect.rs", "                    if record.kind == Kind::Directory {", "                    if record.kind == Kind::Directory && dry {"),
        ],
        tests: &["content::garbage_is_what_no_kept_run_reaches"],
    },
    Mutation {
        name: "gc-forgets-logs",
        guarantee: "`gc` keeps what kept runs reach: logs",
        changes: &[
            ("src/store/collect.rs", "                needed.extend(action.log);\n", ""),
        ],
        tests: &["content::garbage_is_what_no_kept_run_reaches"],
    },
    Mutation {
        name: "gc-forgets-cached-stages",
        guarantee: "`gc` keeps what kept runs found in the cache",
        changes: &[
            ("src/cli/gc.rs", "            if let Event::StageFinished { key: Some(key), .. } = event {", "            if let Event::StageFinished { key: Some(key), outcome: crate::events::Outcome::Executed, .. } = event {"),
        ],
        tests: &["content::garbage_is_what_no_kept_run_reaches"],
    },
    Mutation {
        name: "gc-forgets-pinned-runs",
        guarantee: "`gc` keeps what pinned runs reach",
        changes: &[
            ("src/cli/gc.rs", "        if position < newest && !store.runs().join(name).join(\"pinned\").exists() {", "        if position < newest {"),
        ],
        tests: &["results::garbage_goes_and_kept_runs_stay"],
    },
    Mutation {
        name: "gc-removes-no-objects",
        guarantee: "`gc` removes what nothing reaches",
        changes: &[
            ("src/store/collect.rs", "            if digest.is_some_and(|digest| needed.contains(&digest)) {", "            if digest.is_some() {"),
        ],
        tests: &["content::garbage_is_what_no_kept_run_reaches"],
    },
    Mutation {
        name: "gc-removes-on-a-dry-run",
        guarantee: "`gc --dry-run` removes nothing",
        changes: &[
            ("src/store/collect.rs", "            if !dry {\n                let path = file.path();", "            if !dry || store.root().exists() {\n                let path = file.path();"),
        ],
        tests: &["content::garbage_is_what_no_kept_run_reaches"],
    },
    Mutation {
        name: "verify-overlooks-objects",
        guarantee: "`verify` re-hashes every object",
        changes: &[
            ("src/store/verify.rs", "            if !whole {", "            if !whole && path.as_os_str().is_empty() {"),
        ],
        tests: &["results::damage_is_made_again"],
    },
    Mutation {
        name: "verify-overlooks-actions",
        guarantee: "`verify` checks every action",
        changes: &[
            ("src/store/verify.rs", "            damaged_actions.push((key, damage));\n            continue;", "            let _ = (key, damage);\n            continue;"),
        ],
        tests: &["content::verify_names_all_that_is_damaged"],
    },
    Mutation {
        name: "verify-overlooks-lost-objects",
        guarantee: "`verify` misses what is gone",
        changes: &[
            ("src/store/verify.rs", "                if !store.object_path(&digest).exists() {", "                if digest.hex().is_empty() {"),
        ],
        tests: &["content::verify_names_all_that_is_damaged"],
    },
    Mutation {
        name: "verify-keeps-the-damage",
        guarantee: "`verify` drops what is damaged",
        changes: &[
            ("src/store/verify.rs", "                let _ = super::remove_all(&path);\n                store.stat.forget(&path);\n                bad.insert", "                bad.insert"),
        ],
        tests: &["results::damage_is_made_again"],
    },
    Mutation {
        name: "verify-exits-0",
        guarantee: "`verify` ends in exit code 5 if it found damage",
        changes: &[
            ("src/cli/verify.rs", "{ 0 } else { 5 }", "{ 0 } else { 0 }"),
        ],
        tests: &["results::damage_is_made_again"],
    },
    Mutation {
        name: "waits-although-told-not-to",
        guarantee: "`--no-wait` does not wait",
        changes: &[
            ("src/cli/run.rs", "    bring(global, &project, &order, options, !arguments.no_wait, sinks)", "    bring(global, &project, &order, options, !arguments.no_wait || !arguments.dry_run, sinks)"),
        ],
        tests: &["signals::a_second_run_waits_or_says_so"],
    },
    Mutation {
        name: "lock-not-taken",
        guarantee: "one run at a time",
        changes: &[
            ("src/store/lock.rs", "FlockOperation::NonBlockingLockExclusive", "FlockOperation::NonBlockingUnlock"),
        ],
        tests: &["signals::a_second_run_waits_or_says_so"],
    },
];
