//! How many rows are asked for at once.
//!
//! A page that is larger than accepted is cut off after megabytes, so that each wrong guess is dear. Such a page nearly
//! always holds one large message: the next one has a single row, and those after it twice as many each time, below what
//! was too many.

use crate::platform::activity::MOST_ROWS;

/// Bytes of a row that may be why a page was larger than accepted.
const BULKY_BYTES: usize = 1 << 20;

/// So many times fewer rows are asked for in a window after a page that was too large.
const FEWER_ROWS: u32 = 8;

/// Rows of the next page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PageSize {
    rows: u32,
    /// So many rows were more than accepted.
    too_many: Option<u32>,
    /// The last page was a bulky row alone.
    is_bulky: bool,
}

impl Default for PageSize {
    fn default() -> Self {
        Self { rows: MOST_ROWS, too_many: None, is_bulky: false }
    }
}

impl PageSize {
    pub(super) const fn rows(&self) -> u32 {
        self.rows
    }

    /// Whether a page of more rows may be accepted.
    pub(super) fn can_grow(&self) -> bool {
        self.rows < MOST_ROWS && self.too_many.is_none_or(|too_many| self.rows.saturating_mul(2) < too_many)
    }

    /// Asks for more rows the next time, if they may be accepted.
    pub(super) fn grow(&mut self) {
        if self.can_grow() {
            self.rows = self.rows.saturating_mul(2).min(MOST_ROWS);
        }
    }

    /// A page of so many rows was larger than accepted.
    pub(super) const fn overflowed(&mut self, rows: u32) {
        *self = Self { rows: 1, too_many: Some(rows), is_bulky: false };
    }

    /// As [`Self::overflowed`], where a page of one row would not show that its moment has others.
    pub(super) fn overflowed_in_window(&mut self, rows: u32) {
        *self = Self { rows: (rows / FEWER_ROWS).max(1), too_many: Some(rows), is_bulky: false };
    }

    /// A slow line could not carry a page in time.
    pub(super) fn halve(&mut self) {
        self.rows = (self.rows / 2).max(1);
    }

    /// A page of so many bytes was accepted.
    pub(super) const fn accepted(&mut self, rows: u32, bytes: usize) {
        self.is_bulky = rows == 1 && bytes >= BULKY_BYTES;
    }

    /// The next page begins behind the last one.
    pub(super) const fn passed(&mut self) {
        if self.is_bulky {
            self.forget_overflow();
        }
    }

    /// What was too many may be accepted now.
    pub(super) const fn forget_overflow(&mut self) {
        self.too_many = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes of the pages until there are no more rows, and how many of them were too large: the row that is `bulky`
    /// takes all the space of a page.
    fn pages(rows: u32, bulky: u32, fit: u32) -> (Vec<u32>, usize) {
        let (mut size, mut pages, mut overflows, mut next) = (PageSize::default(), Vec::new(), 0, 0);
        while next < rows {
            let end = (next + size.rows()).min(rows);
            let holds_bulky = (next..end).contains(&bulky);
            if size.rows() > 1 && (holds_bulky && end - next > 1 || end - next > fit) {
                size.overflowed(size.rows());
                overflows += 1;
                continue;
            }
            size.accepted(size.rows(), if holds_bulky { 8 << 20 } else { 1 });
            size.passed();
            pages.push(end - next);
            next = end;
            size.grow();
        }
        (pages, overflows)
    }

    #[test]
    fn a_large_row_alone_costs_one_wrong_guess() {
        assert_eq!(pages(1, 0, 500), (vec![1], 0));
        assert_eq!(pages(3, 0, 500), (vec![1, 2], 1));
    }

    #[test]
    fn pages_grow_again_behind_a_large_row() {
        let (pages, overflows) = pages(2_000, 0, 500);

        assert_eq!(&pages[..10], [1, 2, 4, 8, 16, 32, 64, 128, 256, 500]);
        assert_eq!(overflows, 1);
    }

    #[test]
    fn pages_of_middling_rows_stay_below_what_was_too_many() {
        let (pages, overflows) = pages(2_000, u32::MAX, 80);

        assert_eq!(overflows, 2);
        assert_eq!(pages.iter().max(), Some(&64));
        assert_eq!(pages.iter().rev().take(20).skip(1).min(), Some(&64));
    }

    #[test]
    fn a_slow_line_gets_half_a_page_and_never_less_than_a_row() {
        let mut size = PageSize::default();
        size.halve();
        assert_eq!(size.rows(), MOST_ROWS / 2);
        for _ in 0..20 {
            size.halve();
        }
        assert_eq!(size.rows(), 1);
    }
}
