//! Ids of follow-up tasks whose signatures have none.

use uuid::Uuid;

/// Root of all places.
const SPACE: Uuid = Uuid::from_u128(0x6c6f_7661_6765_5063_8e1e_7279_0000_0001);

/// Where in what follows a task a signature stands. The same place gives the
/// same id, so a finish that is repeated after a crash sends the same tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(Uuid);

impl Place {
    /// What follows the task, or the group, of this id.
    pub(crate) fn after(id: &str) -> Self {
        Self(Uuid::new_v5(&SPACE, id.as_bytes()))
    }

    /// The one at `index` of those that stand here as `role`.
    pub(crate) fn at(self, role: &str, index: usize) -> Self {
        Self(Uuid::new_v5(&self.0, format!("{role}/{index}").as_bytes()))
    }

    /// Its id.
    pub(crate) fn id(self) -> String {
        self.0.to_string()
    }
}
