//! `docs`: whether the generated parts of docs/ are what the code says.

use clap::Args;

use crate::codes::pages;
use crate::runner::{Exit, console};
use crate::workspace::{root, shown};

#[derive(Args)]
pub(super) struct Docs {
    /// Writes them anew
    #[arg(long)]
    write: bool,
}

impl Docs {
    pub fn run(&self) -> anyhow::Result<Exit> {
        let mut exit = Exit::Pass;
        for (path, text) in pages::all(root())? {
            if std::fs::read_to_string(&path)? == text {
                continue;
            }
            if self.write {
                std::fs::write(&path, text)?;
                console::tell(&format!("written: {}", shown(&path)));
            } else {
                console::tell(&format!("not what the code says: {}; cargo sim docs --write", shown(&path)));
                exit = Exit::Violation;
            }
        }
        Ok(exit)
    }
}
