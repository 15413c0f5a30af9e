"""An nginx with the very site of an instance, to be measured beside it: `/alone` is `return 200`,
and everything else goes to a double of the program, with as much of the site as plain libfcgi
allows: a new FastCGI connection for each request.
"""
import os
import re
import shutil

import loads
import parts
import peers
import service

THREADS = 16
ALONE = """
location = /alone {
    default_type application/json;
    return 200 '{"status":"ok"}\\n';
}
"""


class Beside:
    """The second nginx and the double."""

    def __init__(self, instance):
        self.scratch = peers.Scratch("beside")
        try:
            self.start(instance)
        except BaseException:
            self.scratch.close()
            raise

    def start(self, instance):
        here, port = self.scratch.path, peers.free_port()
        socket = os.path.join(here, "run/fcgi.sock")
        for name in ("log", "tmp", "run"):
            os.mkdir(os.path.join(here, name))
        os.symlink(os.path.join(instance.var, "tls"), os.path.join(here, "tls"))
        shutil.copytree(os.path.join(instance.var, "etc"), os.path.join(here, "etc"))
        config = os.path.join(here, "etc/nginx.conf")
        for path in [config] + [
            os.path.join(here, "etc/nginx", name)
            for name in os.listdir(os.path.join(here, "etc/nginx"))
        ]:
            with open(path, encoding="utf-8") as file:
                text = file.read()
            text = text.replace(
                os.path.realpath(os.path.join(instance.var, "run")), os.path.join(here, "run")
            )
            text = text.replace(instance.var, here)
            text = re.sub(r"(listen [^;]*):%d " % instance.port, r"\1:%d " % port, text)
            text = re.sub(
                r"fastcgi_keep_conn on;|keepalive 64;|keepalive_requests 100000;", "", text
            )
            if path.endswith("/server.conf"):
                text += ALONE
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        double = self.scratch.launch(
            [loads.tool("constant"), socket, str(THREADS)], lambda: os.path.exists(socket)
        )
        nginx = self.scratch.launch(
            [peers.find("nginx"), "-c", config, "-e", os.path.join(here, "log/nginx-error.log")],
            lambda: peers.port_answers(port),
        )
        service.await_condition(10, lambda: parts.children(nginx.pid), "nginx has workers")
        self.port = port
        self.parts = parts.Parts(
            {"nginx": [nginx.pid] + parts.children(nginx.pid), "program": [double.pid]}
        )
        self.close = self.scratch.close
