//! Three real ZooKeeper servers, one of which can be cut from its leader without knowing it.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::{Process, four_letters, free_port, start_zookeeper, wait_until};

/// How often a relay looks whether it is stopped.
const LOOK: Duration = Duration::from_millis(20);

/// Servers 1 and 2 are a quorum; server 3 follows one of them through a relay.
pub struct Ensemble {
    /// Where clients reach each server.
    pub ports: [u16; 3],
    is_cut: Arc<AtomicBool>,
    _servers: Vec<Process>,
    _folder: tempfile::TempDir,
}

impl Ensemble {
    /// `sync_limit`: ticks of half a second for which a follower bears a silent leader.
    pub fn start(sync_limit: u32) -> Ensemble {
        let folder = tempfile::tempdir().expect("a folder");
        let ports = [0; 3].map(|_| free_port());
        let quorum = [0; 3].map(|_| free_port());
        let election = [0; 3].map(|_| free_port());
        let is_cut = Arc::new(AtomicBool::new(false));
        let relays = [quorum[0], quorum[1]].map(|port| relay(port, Arc::clone(&is_cut)));
        let mut servers = Vec::new();
        for number in 1..=3 {
            let seen = if number == 3 { [relays[0], relays[1], quorum[2]] } else { quorum };
            let mut config = format!("initLimit=20\nsyncLimit={sync_limit}\n");
            for (index, (quorum, election)) in seen.iter().zip(election).enumerate() {
                config += &format!("server.{}=127.0.0.1:{quorum}:{election}\n", index + 1);
            }
            let home = folder.path().join(number.to_string());
            servers.push(start_member(&home, number, ports[number - 1], &config));
            if number == 2 {
                wait_for_mode(ports[0], "Mode: ");
                wait_for_mode(ports[1], "Mode: ");
            }
        }
        wait_for_mode(ports[2], "Mode: follower");
        Ensemble { ports, is_cut, _servers: servers, _folder: folder }
    }

    /// Nothing passes any more between the third server and its leader; their connection stands.
    pub fn cut_the_third(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        // A relay that reads already may pass one piece on.
        thread::sleep(LOOK * 2);
    }

    /// What was held passes, in its order.
    pub fn join_the_third(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

fn start_member(home: &Path, number: usize, port: u16, config: &str) -> Process {
    std::fs::create_dir_all(home.join("data")).expect("a folder");
    std::fs::write(home.join("data/myid"), number.to_string()).expect("a number");
    start_zookeeper(home, port, config)
}

fn wait_for_mode(port: u16, mode: &str) {
    wait_until(mode, || four_letters(port, "srvr").is_some_and(|text| text.contains(mode)));
}

/// Listens for connections to `target`; what passes through is held while `is_cut`. Its threads end with the process.
fn relay(target: u16, is_cut: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (from, to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
                let is_cut = Arc::clone(&is_cut);
                thread::spawn(move || pass(from, to, &is_cut));
            }
        }
    });
    port
}

fn pass(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    from.set_read_timeout(Some(LOOK)).expect("not zero");
    let mut buffer = [0; 64 * 1024];
    loop {
        if is_cut.load(Ordering::SeqCst) {
            thread::sleep(LOOK);
            continue;
        }
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) if to.write_all(&buffer[..count]).is_ok() => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Ok(_) | Err(_) => break,
        }
    }
    // The other direction may have closed it already.
    drop(to.shutdown(std::net::Shutdown::Both));
}
