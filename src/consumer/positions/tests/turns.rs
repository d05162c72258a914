//! Whose turn it is: to be asked for, and to be handed out.

use super::*;

#[test]
fn who_waited_longest_for_data_is_asked_for_first() {
    let starts = [StartPosition::At(Offset(0)); 3];
    let mut positions = assigned(LIMITS, &starts);
    let mut asked = |brings: &[i32]| {
        let requests = fetches(&mut positions);
        for asked in &requests {
            let records = match brings.contains(&asked.partition.partition) {
                true => batch(asked.target.0, 1).into(),
                false => Bytes::new(),
            };
            positions.fetched(asked, records, END);
        }
        requests.iter().map(|asked| asked.partition.partition).collect::<Vec<_>>()
    };
    assert_eq!(asked(&[0]), [0, 1, 2]);
    assert_eq!(asked(&[0]), [1, 2, 0], "one that always has something stands behind");
    assert_eq!(asked(&[1, 0]), [1, 2, 0], "one that is empty keeps its place");
    assert_eq!(asked(&[2]), [2, 1, 0]);
    assert_eq!(asked(&[]), [1, 0, 2]);
}

#[test]
fn partitions_take_turns() {
    let mut positions = assigned(LIMITS, &[StartPosition::At(Offset(0)); 3]);
    for asked in fetches(&mut positions) {
        positions.fetched(&asked, batch(0, 4).into(), END);
    }
    let turns: Vec<i32> = (0..4)
        .map(|_| records(&take(&mut positions, ONE, 2).expect("nothing is stuck"))[0].partition.partition)
        .collect();
    assert_eq!(turns, [0, 1, 2, 0]);
}
