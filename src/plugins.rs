//! The stages that ship with nanoflow. The engine itself knows none of them: without the feature `shipped-stages` this
//! registry is empty and everything else is the same.

use nanoflow_sdk::Stage;

include!(concat!(env!("OUT_DIR"), "/plugin_digests.rs"));
include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// Every shipped stage.
pub fn all() -> &'static [&'static dyn Stage] {
    static ALL: std::sync::OnceLock<Vec<&'static dyn Stage>> = std::sync::OnceLock::new();
    ALL.get_or_init(shipped)
}

#[cfg(feature = "shipped-stages")]
fn shipped() -> Vec<&'static dyn Stage> {
    vec![
        nanoflow_stage_corpus::stage(),
        nanoflow_stage_train::stage(),
        nanoflow_stage_smoothquant::stage(),
        nanoflow_stage_prune::stage(),
        nanoflow_stage_evaluate::stage(),
        nanoflow_stage_evaluate::table_stage(),
        nanoflow_stage_export::stage(),
        nanoflow_stage_hls::stage(),
        nanoflow_stage_hls_report::stage(),
        nanoflow_stage_csim::stage(),
        nanoflow_stage_cosim::stage(),
        nanoflow_stage_pdk::stage(),
        nanoflow_stage_liberty::stage(),
        nanoflow_stage_scan::stage(),
        nanoflow_stage_atpg::stage(),
        nanoflow_stage_gatesim::stage(),
        nanoflow_stage_floorplan::stage(),
        nanoflow_stage_place::stage(),
        nanoflow_stage_cts::stage(),
        nanoflow_stage_route::stage(),
        nanoflow_stage_finish::stage(),
    ]
}

#[cfg(not(feature = "shipped-stages"))]
fn shipped() -> Vec<&'static dyn Stage> {
    Vec::new()
}

/// The stage of this name.
pub fn find(id: &str) -> Option<&'static dyn Stage> {
    all().iter().copied().find(|stage| stage.id() == id)
}

/// Digest of the sources of a shipped stage and of all that they depend on, taken when nanoflow was built.
pub fn digest(id: &str) -> &'static str {
    // A crate that brings several stages names them after itself: `hls-report` is in `hls`.
    PLUGIN_DIGESTS
        .iter()
        .filter(|(name, _)| {
            id == *name
                || id
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with('-'))
        })
        .max_by_key(|(name, _)| name.len())
        .map_or("", |(_, digest)| digest)
}

/// Files of a flow that ships, each with its path below the new flow's folder; none if this build was made without it.
pub fn template(name: &str) -> Vec<(&'static str, &'static [u8])> {
    TEMPLATE_FILES
        .iter()
        .filter(|(template, _, _)| *template == name)
        .map(|(_, path, bytes)| (*path, *bytes))
        .collect()
}
