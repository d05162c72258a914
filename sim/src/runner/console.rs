//! Results on stdout. A reader that has gone away (`| head`) ends the command quietly.

use std::io::Write;

/// Tells one piece of text, with the end of its line.
pub fn tell(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let told = writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush());
    if told.is_err() {
        std::process::exit(i32::from(super::Exit::Pass.code()));
    }
}
