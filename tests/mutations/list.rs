//! The faults: what each breaks, the change that does it, and the tests that must fail.

#[path = "list/content.rs"]
mod content;
#[path = "list/explain.rs"]
mod explain;
#[path = "list/flow.rs"]
mod flow;
#[path = "list/key.rs"]
mod key;
#[path = "list/process.rs"]
mod process;
#[path = "list/run.rs"]
mod run;
#[path = "list/store.rs"]
mod store;

/// One fault.
pub struct Mutation {
    /// What is done, in a few words without blanks.
    pub name: &'static str,
    pub guarantee: &'static str,
    /// File, the text in it, which stands there once, and what replaces it.
    pub changes: &'static [(&'static str, &'static str, &'static str)],
    /// Of `tests/program`, or of the library if `::tests::` is in the name.
    pub tests: &'static [&'static str],
}

/// All faults, in the order of the page.
pub fn all() -> impl Iterator<Item = &'static Mutation> {
    let parts = [
        flow::MUTATIONS,
        key::MUTATIONS,
        content::MUTATIONS,
        run::MUTATIONS,
        store::MUTATIONS,
        process::MUTATIONS,
        explain::MUTATIONS,
    ];
    parts.into_iter().flatten()
}
