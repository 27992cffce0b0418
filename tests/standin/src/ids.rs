//! Everything random comes from one seed, so a run can be repeated.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use fastrand::Rng;
use uuid::{Builder, Uuid};

pub(crate) struct Ids(Rng);

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    pub(crate) fn uuid(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        self.0.fill(&mut bytes);
        Builder::from_random_bytes(bytes).into_uuid()
    }

    /// 256 random bits as 43 characters, without padding.
    pub(crate) fn token(&mut self) -> String {
        let mut bytes = [0; 32];
        self.0.fill(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// A UUID in any spelling the database takes: upper case and missing hyphens are fine.
pub(crate) fn database_uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|_| !text.starts_with("urn:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let (mut one, mut other) = (Ids::new(7), Ids::new(7));

        assert_eq!(one.uuid(), other.uuid());
        assert_eq!(one.token(), other.token());
        assert_eq!(one.token().len(), 43);
        assert_eq!(one.uuid().get_version_num(), 4);
    }
}
