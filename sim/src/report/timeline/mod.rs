//! `timeline.html`: a run as one page that needs nothing else, neither network nor files.
//!
//! The picture is data, embedded as JSON; the page draws it. Nothing of a history is ever markup.

mod arrows;
mod bands;
mod lanes;
mod lines;
pub mod model;
mod story;

#[cfg(test)]
mod tests;

use seedlog::runtime::sim::net::messages::Message;

pub use model::{Picture, Scene, picture};

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
/// In this order; together they are one script.
const SCRIPTS: [&str; 10] = [
    include_str!("page/data.js"),
    include_str!("page/layout.js"),
    include_str!("page/marks.js"),
    include_str!("page/draw.js"),
    include_str!("page/paths.js"),
    include_str!("page/story.js"),
    include_str!("page/hit.js"),
    include_str!("page/panel.js"),
    include_str!("page/input.js"),
    include_str!("page/page.js"),
];

/// The page of a run.
pub fn page(scene: &Scene) -> String {
    let picture = picture(scene);
    let data = embedded(&serde_json::to_string(&picture).expect("a picture is plain data"));
    let title = format!("{} seed {}", picture.title.scenario, picture.title.seed);
    let mut page = String::with_capacity(data.len() + 64 * 1024);
    // In one pass over the template: what is put in is never looked at for placeholders.
    for (index, part) in PAGE.split("%%").enumerate() {
        match (index % 2, part) {
            (0, text) => page.push_str(text),
            (_, "title") => page.push_str(&escaped(&title)),
            (_, "style") => page.push_str(STYLE),
            (_, "data") => page.push_str(&data),
            (_, "script") => SCRIPTS.iter().for_each(|script| page.push_str(script)),
            (_, other) => panic!("the page has no place called {other}"),
        }
    }
    page
}

/// JSON that may stand in a `script` element: no character of it can end the element or begin a comment.
fn embedded(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => safe.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => safe.push(c),
        }
    }
    safe
}

/// Text that may stand in an element.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Writes messages as JSON, one a line.
pub fn write_messages(messages: &[Message], out: &mut impl std::io::Write) -> std::io::Result<()> {
    for message in messages {
        serde_json::to_writer(&mut *out, message)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Reads what [`write_messages`] wrote; an error names the line.
pub fn read_messages(input: impl std::io::BufRead) -> std::io::Result<Vec<Message>> {
    let read = |(index, line): (usize, std::io::Result<String>)| {
        serde_json::from_str(&line?).map_err(|error| {
            let text = format!("line {}: {error}", index + 1);
            std::io::Error::new(std::io::ErrorKind::InvalidData, text)
        })
    };
    input.lines().enumerate().map(read).collect()
}
