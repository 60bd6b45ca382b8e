"""The machine around a run: namespaces, the TUN interface, the gateway's process.

::

    simulator ─ control socket ─ helper ── fork ──> init (PID 1 of the namespace) ──> gateway
        │                          └ makes the namespaces, the TUN, addresses, routes
        └ holds what was opened inside: TUN queues, a netlink socket, the UDP counters

The simulator stays outside, so that its files and its web page are the user's. A fresh interpreter
goes in: a thread cannot (unshare(CLONE_NEWUSER) in a process with threads is EINVAL). It passes the
descriptors out by SCM_RIGHTS, forks, and its child is the init of a PID namespace. When the control
socket closes, for whatever reason, SIGKILL of the simulator included, init exits, and with it the
kernel ends every process of the namespace, however it has detached itself. The network namespace
goes with the last process and descriptor in it. There are no files, so nothing can become stale.

=============  =====================================================================
`plan`         what a testbed shall be: plain data
`helper`       starting the helper process
`helperserver` a process that forks one after the other; `serverend` is our end of it
`bed`          `open_testbed`, `Testbed`: the simulator's side, in trio
`process`      `GatewayProcess`: output, exit status, signals, stop
`counters`     what the kernel counted inside: interface and UDP
`init`         the helper's program: sets up, forks, supervises
`isolation`    entering and making namespaces
`network`      addresses, routes and sysctls
`names`        host names of the run's own
`sockets`      sockets that are opened inside and used outside
`persistent`   interfaces that stay, for runs without root
`rtnetlink`    requests to the kernel, in pyroute2's messages
`supervisor`   the loop of init; `proctable`, whom it looks after; `gauge`, what they use
`channel`      messages and descriptors over the control socket
`linux`        the system calls that Python 3.11 lacks
`privileges`   giving up capabilities; `rights`, what the gateway has of them; `users`, whom
               it may run as
`timescale`    a gateway's clock that runs faster; `elf`, whether it can be reached
`runs`         the running testbeds of this user, and executing a command inside one
`enter`        the program that enters a testbed for that command
`doctor`       what this machine can and cannot do, and the fix
`cgroup`       what control groups allow us of it
=============  =====================================================================

Nothing here is imported by this page: the helper must start fast, and has no use for trio.

Alternatives considered
-----------------------
- *PR_SET_PDEATHSIG* fires when the spawning thread ends, reaches only the direct child, and is
  cleared by setuid programs.
- *A cgroup* to kill the gateway's whole tree needs a delegated cgroup, which containers lack.
- *veth pairs* instead of TUN: the simulator would need raw sockets and privilege in the host.
- *Named namespaces* in /run/netns need root, and stay behind after SIGKILL.
- *unshare(1), ip(8), nsenter(1)*: three more programs to install, and no way to hand out a
  descriptor.
- *Configuring the interface from the simulator* through the netlink socket: the helper does it
  while the simulator is still importing and loading its scenario.
- *pyroute2.IPRoute* in the helper: see `rtnetlink`.
"""
