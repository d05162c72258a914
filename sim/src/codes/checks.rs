//! What is checked. `H`: what clients saw. `S`: what brokers stored. `C`: coordination. `L`: liveness. `W`: a story's
//! own deadlines. `X`: runs that broke off.

use super::Code;
use super::State::{self, Built, NotYet};

const CLIENTS: &str = "what clients saw";
const STORED: &str = "what brokers stored";
const COORDINATION: &str = "what ZooKeeper and the members did";
const RUN: &str = "the run itself";

const fn row(id: &'static str, says: &'static str, source: &'static str, state: State) -> Code {
    Code { id, says, source, state, rules: &[], checks: &[] }
}

pub(super) static CHECKS: &[Code] = &[
    row("H1", "An offset holds one value, and the one that was acknowledged there.", CLIENTS, Built),
    row("H2", "A record stands at one offset.", CLIENTS, Built),
    row("H3", "What was acknowledged says where, and is read by whoever reads past it.", CLIENTS, Built),
    row("H4", "What was acknowledged is read once the faults are over.", CLIENTS, Built),
    row("H5", "What definitely failed to be sent is never read.", CLIENTS, Built),
    row("H6", "Nothing is read that nobody sent.", CLIENTS, Built),
    row("H7", "A reader skips nothing without a reason that was stated.", CLIENTS, Built),
    row("H8", "A reader never steps back without a reason that was stated.", CLIENTS, Built),
    row("H9", "Nothing is skipped or repeated inside one poll.", CLIENTS, Built),
    row("H10", "What a producer sent later stands later.", CLIENTS, Built),
    row("H11", "A reader of committed data sees no open or aborted transaction.", CLIENTS, NotYet),
    row("H12", "Transactions form no cycle over what they wrote and read.", CLIENTS, NotYet),
    row("H13", "A reader reaches the end soon after the faults are over.", CLIENTS, Built),
    row("H14", "What was sent after an acknowledgement stands behind what was acknowledged.", CLIENTS, Built),
    row("H15", "What was read once is read again at its offset.", CLIENTS, Built),
    row("H16", "A group commits nothing beyond a record that it has not finished.", CLIENTS, Built),
    row("H17", "A committed offset never falls.", CLIENTS, Built),
    row("H18", "A position is reset only where the log does not hold it.", CLIENTS, Built),
    row("H19", "A sequence number of a producer is stored once, without a gap.", CLIENTS, NotYet),
    row("H20", "A group is given a record again only for a reason.", CLIENTS, Built),
    row("H21", "Flush and close return when every record has met its fate.", CLIENTS, Built),
    row("H22", "A position is the offset behind the last record.", CLIENTS, Built),
    row("H23", "A seek to a time leads to the first record of that time or later.", CLIENTS, Built),
    row("H24", "Records with one key go to one partition.", CLIENTS, Built),
    row("H25", "Every field of every reply is as the protocol says.", CLIENTS, Built),
    row("H26", "A record has met its fate when its delivery timeout is over.", CLIENTS, Built),
    row("H27", "A member that commits by itself has committed what it finished long ago.", CLIENTS, Built),
    row("H28", "A page of metrics says what was so while it was asked for.", CLIENTS, Built),
    row("H29", "A broker calls itself well where it is, and unwell where something ails it.", CLIENTS, Built),
    row(
        "H30",
        "What a broker says of who leads a partition is so, once the cluster is at peace.",
        CLIENTS,
        Built,
    ),
    row("H31", "A reader's partitions take turns.", CLIENTS, Built),
    row("H32", "A poll gives its application what the consumer states that it delivered.", CLIENTS, Built),
    row("S1", "Replicas agree below the smaller of their high watermarks.", STORED, NotYet),
    row("S2", "Replicas that agree in offset and epoch agree in all before.", STORED, NotYet),
    row("S3", "A new leader has every committed record.", STORED, NotYet),
    row("S4", "Whoever may become leader has every record below the high watermark.", STORED, NotYet),
    row("S6", "A high watermark lies below the log end of all who may become leader.", STORED, NotYet),
    row("S7", "The in-sync set is some of the replicas, with the leader among them.", STORED, NotYet),
    row("S8", "One broker appends as leader in an epoch.", STORED, NotYet),
    row("S9", "Leader epochs never fall, and in each one incarnation of a broker appends.", STORED, Built),
    row("S10", "The high watermark never falls within an epoch and stays inside of the log.", STORED, NotYet),
    row("S11", "No member of the in-sync set truncates committed records.", STORED, NotYet),
    row("S12", "The epoch cache agrees with the log.", STORED, NotYet),
    row(
        "S13",
        "A recovered log is a prefix of the log before the crash and has all that was flushed.",
        STORED,
        Built,
    ),
    row("S14", "Retention and compaction remove what they may and nothing else.", STORED, NotYet),
    row("S15", "State rebuilt from a log equals the state that was lost.", STORED, NotYet),
    row("S16", "A broker acts on no bytes that it has not verified.", STORED, NotYet),
    row("S17", "What was appended is flushed when its flush interval is over.", STORED, Built),
    row("S18", "A broker gives up for what its disk did, and for nothing that is only short.", STORED, Built),
    row("S19", "What is called flushed, or acknowledged as such, is on the disk.", STORED, Built),
    row("S20", "Nobody is given or told of what lies behind the readable end.", STORED, Built),
    row("S21", "A log's files are whole batches, and its indexes point at where they begin.", STORED, Built),
    row("C1", "Two live members never own one partition.", COORDINATION, Built),
    row("C2", "A commit of an old generation is refused.", COORDINATION, NotYet),
    row("C3", "A member that lost a partition stops delivering it within a bound.", COORDINATION, Built),
    row("C4", "ZooKeeper keeps its own promises to every session.", COORDINATION, Built),
    row("C5", "In a group at rest the shares of a topic differ by one at most.", COORDINATION, Built),
    row("C6", "A session ends only for a reason.", COORDINATION, Built),
    row("L1", "After the faults everything is served again by a deadline.", CLIENTS, Built),
    row("W1", "What a scenario demands `within` a time comes true in it.", RUN, Built),
    row("X1", "No node panics.", RUN, Built),
    row("X2", "No run exceeds its limit of events.", RUN, Built),
    row("X3", "No run stands still on the wall clock.", RUN, Built),
    row("X4", "No run takes its process along.", RUN, Built),
    row("X5", "The workload can be set up.", RUN, Built),
    row("X6", "No run needs more stack than there is.", RUN, Built),
    row("X7", "No run needs more memory than its limit.", RUN, Built),
];
