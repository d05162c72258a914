//! The forms of an action, for people who wrote something else.

/// Every form of an action, for error messages.
pub const FORMS: &str = "kill WHO, power-fail WHO, stop WHO, leave WHO, pause WHO [for TIME], suspend WHO [for TIME], \
     few-descriptors WHO N [for TIME], resume WHO, restart WHO, \
     join WHO, wipe WHO, rolling-restart TIME, crash WHO at POINT [N], power-crash WHO at POINT [N], \
     configure WHO KEY=VALUE, cut WHO | WHO [for TIME], cut WHO -> WHO [for TIME], isolate WHO [for TIME], \
     split [for TIME], reset WHO | WHO, reset WHO -> WHO, delay WHO | WHO TIME [+ TIME] [for TIME], \
     delay WHO -> WHO TIME [+ TIME] [for TIME], limit WHO -> WHO to BYTES/s [for TIME], \
     stall WHO | WHO [N] [for TIME], drop WHO | WHO, refuse WHO [for TIME], ignore-connects WHO [for TIME], \
     accept-late WHO [for TIME], \
     disk-error WHO read|write|short-write|fsync|fsync-reverts|fsync-late|rename|set-len|open|mkdir|read-dir|unlink \
     [EIO|ENOSPC|ENFILE|EROFS] [once|1/N] [for TIME], disk-full WHO [leaving BYTES] [for TIME], disk-slow WHO xN [stalling] [for TIME], disk-hang WHO [read|write|fsync|rename|set-len|open|mkdir|read-dir|unlink|everything] [at FILE] [for TIME], disk-lies WHO [for TIME], disk-misdirects WHO, \
     disk-sector-lost WHO [at FILE:OFFSET] [for TIME], bit-flip WHO [at FILE:OFFSET], bit-rot WHO [at FILE:OFFSET], truncate WHO [at FILE:LENGTH], \
     disk-heal WHO, clock WHO +TIME|-TIME|+Nppm|-Nppm [for TIME], \
     monotonic WHO +Nppm|-Nppm [for TIME], timers-late WHO TIME [for TIME], strobe WHO +TIME for TIME, expire WHO, lose-reply WHO, lose-reply WHO at registration, \
     cut-short WHO after N times N, break-off PATH after N times N [writes] [unmade], garble-offset GROUP PARTITION for TIME, detach WHO [reaching others] [for TIME], rejoin WHO, zookeeper-lags [for TIME], \
     watches-late WHO TIME [for TIME], reconnect-storm, zookeeper-down [for TIME], idle WHO [for TIME], burst WHO [for TIME], \
     hot-key WHO [for TIME], huge-record WHO BYTES, slow WHO xN [for TIME]";
