//! The integer-only model as a language model that can be evaluated.

use nanoflow_accel::IntModel;
use nanoflow_model::evaluate::LanguageModel;
use nanoflow_model::ModelError;

pub struct IntegerOnly<'a> {
    pub model: &'a IntModel,
    /// Real value of one step of a logit: the only real number, needed for probabilities.
    pub logit_scale: f32,
}

impl LanguageModel for IntegerOnly<'_> {
    fn block(&self) -> usize {
        self.model.dims.block
    }

    fn vocabulary(&self) -> usize {
        self.model.dims.vocab
    }

    fn logits(&self, tokens: &[u16]) -> Result<Vec<f32>, ModelError> {
        let mut state = self.model.start();
        let mut logits = Vec::with_capacity(tokens.len() * self.vocabulary());
        for &token in tokens {
            let step = self
                .model
                .step(&mut state, token)
                .map_err(|error| ModelError::Data(error.to_string()))?;
            logits.extend(
                step.logits
                    .iter()
                    .map(|&logit| f32::from(logit) * self.logit_scale),
            );
        }
        Ok(logits)
    }
}
