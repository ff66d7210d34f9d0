//! Lists, a page at a time.

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, Cursor> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page begins; nothing, after the last.
    pub next: Option<Cursor>,
}
