//! The stages that ship with nanoflow. The engine itself knows none of them: without the feature `shipped-stages` this
//! registry is empty and everything else is the same.

use nanoflow_sdk::Stage;

include!(concat!(env!("OUT_DIR"), "/plugin_digests.rs"));

/// Every shipped stage.
pub fn all() -> &'static [&'static dyn Stage] {
    static ALL: std::sync::OnceLock<Vec<&'static dyn Stage>> = std::sync::OnceLock::new();
    ALL.get_or_init(shipped)
}

#[cfg(feature = "shipped-stages")]
fn shipped() -> Vec<&'static dyn Stage> {
    vec![]
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
    PLUGIN_DIGESTS.iter().find(|(name, _)| *name == id).map_or(ENGINE_DIGEST, |(_, digest)| digest)
}
