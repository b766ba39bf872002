use shared::{domain::ErrorCode, platform::problem::FieldError};

/// Rows that are read: as many as athletes, one more to say that there are too many, and what may
/// stand above the header.
pub(super) const MAX_ROWS: usize = super::MAX_ATHLETES + 1 + MAX_ABOVE_HEADER + 1;

/// Rows among which the header is looked for: titles and notes may stand above it.
pub(super) const MAX_ABOVE_HEADER: usize = 20;

/// Columns that are read. The largest exports have some hundreds.
pub(super) const MAX_COLUMNS: usize = 1_000;

/// Characters of a cell that are read: more than any field takes.
pub(super) const MAX_CELL: usize = 1_000;

/// A row that is not blank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Its number as the spreadsheet shows it: from 1, blank rows too.
    pub(super) number: usize,
    /// Its cells up to the last that is not blank.
    pub(super) cells: Vec<String>,
}

/// The first rows of a spreadsheet that are not blank, at most [`MAX_ROWS`].
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
    /// What is wrong with the table as such.
    pub(super) errors: Vec<FieldError>,
}

impl Table {
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= MAX_ROWS || !self.errors.is_empty()
    }

    /// Adds a row, if it is not blank.
    pub(super) fn push<'a>(&mut self, number: usize, cells: impl Iterator<Item = &'a str>) {
        let mut row: Vec<String> = Vec::new();
        let mut blank = 0;
        for cell in cells {
            if shared::domain::pasted::is_blank(cell) {
                blank += 1;
                continue;
            }
            if row.len() + blank >= MAX_COLUMNS {
                let detail = format!(
                    "has more than {MAX_COLUMNS} columns: leave those out that are not needed"
                );
                self.errors.push(FieldError::in_row(
                    number,
                    None,
                    ErrorCode::CellCount,
                    detail,
                ));
                return;
            }
            row.extend(std::iter::repeat_n(String::new(), blank));
            blank = 0;
            row.push(cell.chars().take(MAX_CELL).collect());
        }
        if !row.is_empty() {
            self.rows.push(Row { number, cells: row });
        }
    }
}
