//! Admin console, HTTP and reload: how an operator sees and steers a running Evenkeel.
