//! Copying a table while its lcore goes on writing it (docs/design/tables.md).

use std::sync::Arc;

use wirelet_abi::Error;

use crate::swap::Changes;
use crate::table::TableCopy;
use crate::windows::Windows;

/// Groups that an lcore copies at one boundary: twice what a burst can change.
pub const GROUPS_PER_BOUNDARY: usize = 512;
/// Passes over what changed before the rest is left to the lcore.
const COPY_PASSES_MAX: usize = 8;

impl Changes {
    /// Copies a table of one lcore while that goes on writing it; what changes meanwhile is marked,
    /// and copied again, until few enough groups are left for the lcore itself. Marks stay on.
    ///
    /// # Errors
    /// `WIRELET_E_STATE` when the lcore does not run.
    pub(crate) fn copy_ahead(
        &self,
        slot: usize,
        lcore: usize,
        copy: &mut TableCopy,
    ) -> Result<(), Error> {
        for (windows, index) in self.tracked(slot, lcore, std::slice::from_ref(copy)) {
            self.control.at_boundary(lcore, move |_| {
                windows.track(index, true);
                Some(())
            })?;
        }
        copy.copy_all();
        for _ in 0..COPY_PASSES_MAX {
            let left = copy.harvest();
            if left == 0 {
                break;
            }
            // Whoever got a reference before its mark was taken has written by then.
            self.control.at_boundary(lcore, |_| Some(()))?;
            copy.copy_harvested();
            if left <= GROUPS_PER_BOUNDARY {
                break;
            }
        }
        Ok(())
    }

    /// Where one lcore's instances see the tables that are copied, and as which of theirs.
    pub(crate) fn tracked(
        &self,
        slot: usize,
        lcore: usize,
        copies: &[TableCopy],
    ) -> Vec<(Arc<Windows>, usize)> {
        let seen = |windows: &Arc<Windows>| {
            let windows = Arc::clone(windows);
            let of = |copy: &TableCopy| Some((Arc::clone(&windows), windows.find(copy.from())?));
            copies.iter().filter_map(of).collect::<Vec<_>>()
        };
        self.windows[lcore].of(slot).flat_map(seen).collect()
    }
}
