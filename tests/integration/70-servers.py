#!/usr/bin/env python3
"""Unmodified servers from Debian's packages, each started by the first connection of its own real client, and once more after
a stop. The table in docs/start-on-connection.md is what this prints; the tree is made by tools/testbed/servers."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.environ["CTRD_SOURCE"], "tests/integration"))
sys.dont_write_bytecode = True
from standby import *  # noqa: E402,F403

SOURCE = "/ctrd/servers"
if not os.path.isdir(SOURCE + "/usr"):
    print("skip - unmodified servers start on connection (the bed has no tree of servers)")
    sys.exit()

TREE = make_system_tree("servers", SOURCE)
report_table = []


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(TREE + path), exist_ok=True)
    with open(TREE + path, "w") as file:
        file.write(text)
    os.chmod(TREE + path, mode)


def prepare(*command, user=None):
    """In the tree, as a package's maintainer scripts or an administrator would do it once."""
    done = subprocess.run(["chroot", *([f"--userspec={user}"] if user else []), TREE, *command], capture_output=True, text=True, timeout=120,
                          env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp"})
    if done.returncode:
        print(f"# {command}: {done.stdout[-300:]} {done.stderr[-600:]}", flush=True)
    return done.returncode == 0


def client(*command, stdin=None):
    """A real client, from the same tree, in the host's network."""
    done = subprocess.run(["chroot", TREE, *command], input=stdin, capture_output=True, text=True, timeout=60,
                          env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"})
    return done.stdout + done.stderr


def curl(port, path="/"):
    return client("curl", "-s", "-m", "50", f"http://127.0.0.1:{port}{path}")


def server(name, port, command, ask, good, more="", deliver="adopt", client_name="curl", setup=None, sockets=()):
    """One container, one client; `good` must be in what the client shows. Of two clients, each starts it once."""
    if setup and not setup():
        return report(False, f"{name} is prepared")
    words = ", ".join(f'"{word}"' for word in command)
    host_port = 9100 + len(report_table)
    declare(name, f'rootfs = "{TREE}"\ncommand = [{words}]\n{more}\n'
                  f'[[socket]]\nlisten = "127.0.0.1:{host_port}"\nport = {port}\ndeliver = "{deliver}"\n' +
            "".join(f"[[socket]]\n{lines.format(host_port)}\n" for lines in sockets))
    run("ctrctl", "apply", name)
    answers = []
    for client_of_turn in ask if isinstance(ask, tuple) else (ask, ask):
        before = time.monotonic()
        try:
            answers.append((client_of_turn(host_port), time.monotonic() - before))
        except subprocess.TimeoutExpired:
            answers.append(("no answer in time", 60))
        running = state(name)
        run("systemctl", "stop", f"ctr@{name}.service")
    right = all(good in answer for answer, _ in answers) and running == "active"
    report(right, f"{name} answers {client_name}, started by its connection, and again after a stop "
                  f"({answers[1][1] * 1000:.0f} ms, {deliver})",
           f"{[answer[-300:] for answer, _ in answers]} {running}\n{log_of(name)[-1500:]}")
    report_table.append((name, client_name, deliver, right))
    run("systemctl", "stop", f"ctr@{name}.socket")
    return right


write("/srv/www/index.html", "it works\n")
write("/srv/www/index.php", "<?php echo 'php ' . 'works'; ?>\n")
write("/srv/app.py", "def app(environ, start):\n    start('200 OK', [('Content-Type', 'text/plain')])\n    return [b'wsgi works']\n"
                     "async def asgi(scope, receive, send):\n    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
                     "    await send({'type': 'http.response.body', 'body': b'asgi works'})\n")
write("/srv/app.js", "require('http').createServer((q, a) => a.end('node works')).listen(80)\n")

server("nginx", 80, ["/usr/sbin/nginx", "-g", "daemon off;"], lambda port: curl(port, "/index.nginx-debian.html"), "Welcome to nginx", 'stop-signal = "SIGQUIT"')

server("redis", 6379, ["/usr/bin/redis-server", "--protected-mode", "no", "--save", ""],
       lambda port: client("redis-cli", "-p", str(port), "SET", "a", "1"), "OK", 'user = "redis"', client_name="redis-cli")

write("/srv/kept", "memory that was kept\n")
server("memcached", 11211, ["/usr/bin/memcached", "-u", "memcache", "-l", "0.0.0.0", "-U", "0"],
       lambda port: client("sh", "-c", f"memccp --servers=127.0.0.1:{port} /srv/kept && memccat --servers=127.0.0.1:{port} kept"),
       "memory that was kept", client_name="memccp, memccat")

POSTGRES = "/usr/lib/postgresql/15"
server("postgres", 5432, [f"{POSTGRES}/bin/postgres", "-D", "/srv/pg", "-c", "listen_addresses=0.0.0.0", "-c",
                          "unix_socket_directories=/tmp"],
       # It accepts before it can answer, and says so: its clients try again, whoever starts it.
       lambda port: client("sh", "-c", f"for i in 1 2 3 4 5 6 7 8 9 10; do psql -h 127.0.0.1 -p {port} -U postgres -Atc 'select 6 * 7'"
                           " && break; sleep 0.2; done"), "42",
       'user = "postgres"\nstop-signal = "SIGINT"', client_name="psql",
       setup=lambda: prepare("install", "-d", "-o", "postgres", "-g", "postgres", "/srv/pg") and
       prepare(f"{POSTGRES}/bin/initdb", "-D", "/srv/pg", "--auth=trust", "--no-sync", user="postgres"))

server("apache2", 80, ["/usr/sbin/apache2ctl", "-D", "FOREGROUND"], curl, "Apache2", 'stop-signal = "SIGWINCH"',
       setup=lambda: write("/etc/apache2/conf-enabled/name.conf", "ServerName test\n") is None)

write("/srv/lighttpd.conf", 'server.document-root = "/srv/www"\nserver.port = 80\nindex-file.names = ( "index.html" )\n')
server("lighttpd", 80, ["/usr/sbin/lighttpd", "-D", "-f", "/srv/lighttpd.conf"], curl, "it works", 'stop-signal = "SIGINT"')

write("/srv/haproxy.cfg", "global\n  maxconn 100\ndefaults\n  mode http\n  timeout client 5s\n  timeout connect 5s\n  timeout server 5s\n"
                          "frontend web\n  bind :80\n  http-request return status 200 content-type text/plain string 'haproxy works'\n")
server("haproxy", 80, ["/usr/sbin/haproxy", "-db", "-f", "/srv/haproxy.cfg"], curl, "haproxy works", 'stop-signal = "SIGUSR1"')

server("caddy", 80, ["/usr/bin/caddy", "file-server", "--root", "/srv/www", "--listen", ":80"], curl, "it works",
       '[environment]\nHOME = "/tmp"\nPATH = "/usr/bin"')

server("python", 8000, ["/usr/bin/python3", "-m", "http.server", "-d", "/srv/www"], curl, "it works")

server("gunicorn", 80, ["/usr/bin/gunicorn", "-b", "0.0.0.0:80", "-w", "2", "--chdir", "/srv", "app:app"], curl, "wsgi works")

server("uvicorn", 80, ["/usr/bin/uvicorn", "--app-dir", "/srv", "--host", "0.0.0.0", "--port", "80", "app:asgi"], curl, "asgi works")

server("php", 80, ["/usr/bin/php", "-S", "0.0.0.0:80", "-t", "/srv/www"], lambda port: curl(port, "/index.php"), "php works")

server("node", 80, ["/usr/bin/node", "/srv/app.js"], curl, "node works")

write("/srv/cluster.js", "const cluster = require('cluster')\nif (cluster.isPrimary) { cluster.fork(); cluster.fork() }\n"
                         "else require('http').createServer((q, a) => a.end('cluster works')).listen(80)\n")
server("node-cluster", 80, ["/usr/bin/node", "/srv/cluster.js"], curl, "cluster works")

server("sshd", 22, ["/usr/sbin/sshd", "-D", "-e"],
       lambda port: client("ssh", "-p", str(port), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
                           "root@127.0.0.1", "echo from the inside"), "from the inside",
       'capabilities = ["ALL"]', client_name="ssh",
       setup=lambda: prepare("sh", "-c", "mkdir -p /run/sshd /root/.ssh; ssh-keygen -A; ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519;"
                             " cp /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys; chmod 700 /root/.ssh; usermod -p '*' root"))

UDP_TOO = ('listen = "127.0.0.1:{}"\nport = 53\ntype = "datagram"',)


def dig(*ways):
    """Both ways must say the same; the first one starts the server."""
    def ask(port):
        answers = [client("dig", way, "+short", "+timeout=20", "-p", str(port), "@127.0.0.1", "test.example") for way in ways]
        return answers[0] if answers[0] == answers[1] else f"{answers}"
    return ask


server("dnsmasq", 53, ["/usr/sbin/dnsmasq", "-k", "--no-resolv", "--no-hosts", "--address=/test.example/10.1.2.3", "--bind-interfaces",
                     "--listen-address=127.0.0.1", "--user=root"],
       (dig("+notcp", "+tcp"), dig("+tcp", "+notcp")), "10.1.2.3", client_name="dig, by UDP and TCP", sockets=UDP_TOO,
       more='capabilities = ["CHOWN", "DAC_OVERRIDE", "KILL", "NET_BIND_SERVICE", "NET_ADMIN", "NET_RAW", "SETGID", "SETPCAP", "SETUID"]')

write("/srv/named.conf", 'options { directory "/tmp"; recursion no; listen-on-v6 { none; }; dnssec-validation no; pid-file none; '
                         'session-keyfile none; };\ncontrols { };\nzone "example" { type primary; file "/srv/example.zone"; };\n')
write("/srv/example.zone", "$TTL 60\n@ SOA ns admin 1 60 60 60 60\n@ NS ns\nns A 10.1.2.4\ntest A 10.1.2.3\n")
server("bind9", 53, ["/usr/sbin/named", "-f", "-u", "bind", "-c", "/srv/named.conf"],
       (dig("+notcp", "+tcp"), dig("+tcp", "+notcp")), "10.1.2.3", client_name="dig, by UDP and TCP", sockets=UDP_TOO)

server("mariadb", 3306, ["/usr/sbin/mariadbd", "--user=mysql", "--datadir=/srv/maria", "--bind-address=0.0.0.0", "--skip-grant-tables",
                         "--skip-networking=0", "--socket=/tmp/maria.sock", "--pid-file=/tmp/maria.pid"],
       lambda port: client("mariadb", "-h", "127.0.0.1", "-P", str(port), "--protocol=tcp", "-u", "root", "-BNe", "select 6 * 7"), "42",
       client_name="mariadb",
       setup=lambda: prepare("sh", "-c", "mkdir -p /srv/maria; chown mysql:mysql /srv/maria; mariadb-install-db --user=mysql --datadir=/srv/maria"
                             " --auth-root-authentication-method=normal --skip-test-db > /dev/null"))

write("/srv/mosquitto.conf", "listener 1883 0.0.0.0\nallow_anonymous true\n")
server("mosquitto", 1883, ["/usr/sbin/mosquitto", "-c", "/srv/mosquitto.conf"],
       lambda port: client("sh", "-c", f"mosquitto_pub -p {port} -t a -m hello -r && mosquitto_sub -p {port} -t a -C 1 -W 20"), "hello",
       client_name="mosquitto_pub")

write("/srv/vsftpd.conf", "listen=YES\nanonymous_enable=YES\nanon_root=/srv/www\nsecure_chroot_dir=/srv/empty\nbackground=NO\n"
                          "seccomp_sandbox=NO\nisolate=NO\nisolate_network=NO\npasv_min_port=21000\npasv_max_port=21003\n")
os.makedirs(TREE + "/srv/empty", exist_ok=True)
# As PID 1 it would be given the orphans of its sessions, take them for sessions, and crash: ctr-init takes them.
server("vsftpd", 21, ["/usr/sbin/vsftpd", "/srv/vsftpd.conf"],
       lambda port: client("sh", "-c", f"curl -s -m 50 ftp://127.0.0.1:{port}/ | grep -q index.php && "
                           f"curl -s -m 50 ftp://127.0.0.1:{port}/index.html"), "it works",
       more="init = true", client_name="curl ftp://, which lists and fetches", sockets=('listen = "127.0.0.1:21000-21003"',))

server("tomcat", 8080, ["/bin/sh", "/usr/libexec/tomcat10/tomcat-start.sh"], curl, "It works !",
       'user = "tomcat"\n[environment]\nCATALINA_HOME = "/usr/share/tomcat10"\nCATALINA_BASE = "/var/lib/tomcat10"\n'
       'CATALINA_TMPDIR = "/tmp"\nJAVA_OPTS = "-Djava.awt.headless=true"\nPATH = "/usr/bin:/bin"')

# A client that finds no server would start one of its own: only that in the container keeps its cache there.
server("sccache", 4226, ["/usr/bin/sccache"],
       lambda port: client("env", f"SCCACHE_SERVER_PORT={port}", "SCCACHE_DIR=/srv/outside", "sccache", "--show-stats"), "/srv/inside",
       '[environment]\nSCCACHE_START_SERVER = "1"\nSCCACHE_NO_DAEMON = "1"\nSCCACHE_DIR = "/srv/inside"\nHOME = "/tmp"\nPATH = "/usr/bin"',
       client_name="sccache --show-stats")

write("/srv/squid.conf", "http_port 3128\nhttp_access allow all\ncache deny all\npid_filename none\naccess_log none\ncache_log /dev/null\n"
                         "cache_mem 8 MB\nshutdown_lifetime 0 seconds\nnetdb_filename none\npinger_enable off\n")
server("squid", 3128, ["/usr/sbin/squid", "-N", "-f", "/srv/squid.conf"],
       lambda port: client("curl", "-s", "-m", "50", "-x", f"http://127.0.0.1:{port}", "http://127.0.0.1:1/"), "squid", client_name="curl -x")

server("busybox", 80, ["/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/srv/www"], lambda port: curl(port, "/index.html"), "it works")

for name, client_name, deliver, right in report_table:
    print(f"# | {name} | {client_name} | {deliver} | {'yes' if right else 'NO'} |", flush=True)
