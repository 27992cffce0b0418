//! Whose the cursor file is, which other implementations write, too.

/// What this process has wanted the file to hold.
#[derive(Debug, Default, Clone)]
pub struct Wanted {
    /// Last: a change that failed may have been made all the same.
    tried: Option<String>,
}

impl Wanted {
    /// Whether a file that holds `held` may be changed, by somebody who knows that it holds `known` and wants
    /// it to hold `id`; each is none for no file. It may not if another program has written it.
    pub fn may_become(&mut self, held: &Option<String>, known: &Option<String>, id: &Option<String>) -> bool {
        let is_ours = held.is_none() || [known, id, &self.tried].contains(&held);
        if is_ours {
            self.tried.clone_from(id);
        }
        is_ours
    }
}
