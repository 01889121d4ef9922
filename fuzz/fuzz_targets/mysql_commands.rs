//! What clients send, read under any capabilities and for statements of any number of parameters.
#![no_main]

use mysql::{
    Capabilities,
    command::{BulkExecute, Command, ParameterType, Query, SendLongData, StmtExecute, StmtFetch},
};

libfuzzer_sys::fuzz_target!(|input: (bool, u8, &[u8])| {
    let (named, parameters, body) = input;
    let capabilities = if named { Capabilities::QUERY_ATTRIBUTES } else { Capabilities::NONE };
    let parameters = u16::from(parameters);
    let kept = [ParameterType::LONGLONG; 255];
    if let Ok(query) = Query::parse(body, capabilities) {
        assert!(body.ends_with(query.text));
    }
    if let Ok(execute) = StmtExecute::parse(body, parameters, capabilities) {
        let mut out = Vec::new();
        if execute.write(7, parameters, &kept, capabilities, &mut out).is_ok() {
            let again = StmtExecute::parse(&out[1..], parameters, capabilities).expect("what was written is readable");
            assert!(again.values_count == 0 || again.values == execute.values);
        }
    }
    if let Ok(bulk) = BulkExecute::parse(body, parameters) {
        bulk.write(7, parameters, &kept, &mut Vec::new()).expect("there is a type for every parameter");
    }
    let _ = (Command::statement_id(body), StmtFetch::parse(body), SendLongData::parse(body));
});
