//! `nanoflow verify`

use super::output::{print, print_json};
use super::{lock, CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn main(global: &Global, _: &Args) -> Result<u8, CliError> {
    let project = global.open()?;
    let _held = lock(project.store.root(), true)?;
    let verified = crate::store::verify(&project.store);
    project.store.stat.save();
    if global.json {
        print_json(&serde_json::to_value(&verified).unwrap_or_default());
    } else {
        for damage in &verified.damaged {
            let stages: Vec<&str> = damage.stages.iter().map(String::as_str).collect();
            let whose = if stages.is_empty() {
                String::new()
            } else {
                format!(" (stage {})", stages.join(", "))
            };
            print(&format!(
                "damaged {} {}{whose}: {}; dropped, it will be made again\n",
                damage.kind, damage.digest, damage.what
            ));
        }
        if !global.quiet {
            print(&format!(
                "{} objects ({}), {} actions checked, {} damaged\n",
                verified.objects,
                crate::flow::show_bytes(verified.bytes),
                verified.actions,
                verified.damaged.len()
            ));
        }
    }
    Ok(if verified.damaged.is_empty() { 0 } else { 5 })
}
