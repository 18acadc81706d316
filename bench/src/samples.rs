//! Many measurements of one thing.

use std::time::Duration;

/// Measurements in the order they were taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Notes a duration, in milliseconds.
    pub(crate) fn push_ms(&mut self, took: Duration) {
        self.0.push(took.as_secs_f64() * 1000.0);
    }

    /// Notes a value.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[f64] {
        &self.0
    }

    /// The smallest value that `share` of them don't exceed (nearest rank); not a number if there are none.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a rank is small and positive"
        )]
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    /// The middle one.
    pub(crate) fn median(&self) -> f64 {
        self.percentile(0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let mut samples = Samples::default();
        (1..=20).rev().for_each(|n| samples.push(f64::from(n)));
        let found = [0.5, 0.95, 1.0].map(|share| samples.percentile(share));
        assert!(
            found.iter().zip([10.0, 19.0, 20.0]).all(|(found, wanted)| (found - wanted).abs() < 1e-9),
            "{found:?}"
        );
        assert!(Samples::default().median().is_nan());
    }
}
