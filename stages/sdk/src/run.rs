use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::{Context, Outcome, Paths, Request, Stage, StageError, PROTOCOL};

/// Entry of an out-of-tree plugin: `fn main() -> ExitCode { nanoflow_sdk::main(&MyStage) }`.
/// The only argument is the path of `request.json`.
pub fn main(stage: &dyn Stage) -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [request] = arguments.as_slice() else {
        eprintln!("usage: {} REQUEST.json\n{}", stage.id(), stage.about());
        return ExitCode::from(2);
    };
    run_request(stage, Path::new(request))
}

/// Runs one request in the current directory: writes `metrics.json`, and `result.json` on failure.
pub fn run_request(stage: &dyn Stage, request: &Path) -> ExitCode {
    match try_run(stage, request) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(hint) = &error.hint {
                eprintln!("hint: {hint}");
            }
            let outcome = Outcome {
                failure: error.kind,
                message: error.message,
                hint: error.hint,
            };
            if let Ok(text) = serde_json::to_string_pretty(&outcome) {
                // The exit code already tells of the failure; a missing result.json only loses its kind.
                let _ = std::fs::write("result.json", text);
            }
            ExitCode::FAILURE
        }
    }
}

fn try_run(stage: &dyn Stage, path: &Path) -> Result<(), StageError> {
    let text = std::fs::read_to_string(path).map_err(|error| StageError::io(path, &error))?;
    let mut request: Request = serde_json::from_str(&text)
        .map_err(|error| StageError::input(format!("{}: {error}", path.display())))?;
    if request.protocol != PROTOCOL {
        return Err(StageError::input(format!(
            "{}: protocol {} is asked for, this plugin speaks {PROTOCOL}",
            path.display(),
            request.protocol
        )));
    }
    make_absolute(&mut request)?;
    let mut context = Context::new(request, false);
    let result = stage.run(&mut context);
    // Metrics are kept for a failed stage too: they tell how far it was from its goal.
    if !context.metrics().is_empty() {
        let text = serde_json::to_string_pretty(context.metrics())
            .map_err(|error| StageError::internal(format!("metrics: {error}")))?;
        std::fs::write("metrics.json", text)
            .map_err(|error| StageError::io("metrics.json", &error))?;
    }
    result
}

/// Paths are given relative to the work directory; a stage that starts a tool in another folder needs them absolute.
fn make_absolute(request: &mut Request) -> Result<(), StageError> {
    let absolute = |path: &mut PathBuf| {
        *path = std::path::absolute(&*path).map_err(|error| StageError::io(&*path, &error))?;
        Ok::<(), StageError>(())
    };
    for paths in request.inputs.values_mut() {
        match paths {
            Paths::One(path) => absolute(path)?,
            Paths::Many(paths) => paths.iter_mut().try_for_each(absolute)?,
        }
    }
    request.outputs.values_mut().try_for_each(absolute)?;
    absolute(&mut request.scratch)?;
    request.checkpoint.as_mut().map_or(Ok(()), absolute)
}
