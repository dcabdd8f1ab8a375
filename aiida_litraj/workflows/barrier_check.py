"""From the path of a potential to the barrier on DFT single points of its images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida.common import AttributeDict
from aiida.engine import ExitCode, ToContext, WorkChain
from aiida.orm import AbstractCode, Computer, Dict, to_aiida_type

from ..calculations.base import register_exit_codes
from ..calculations.functions.compare_barrier import compare_barrier
from ..calculations.functions.extract_images import extract_images, images_of, read_choice
from ..calculations.validation import check_path, refuse
from ..data.frames import FramesData
from ..data.path import PathData
from .children import ending_of
from .label import LabelWorkChain
from .label_items import check_label_inputs
from .protocols import ProtocolMixin
from .submission import submitted_before

LABEL = 'label'


class BarrierCheckWorkChain(ProtocolMixin, WorkChain):
    """Labels images of a finished path by a better method and puts its single-point barrier beside the potential's.

    Images whose label failed are left out and said; a barrier needs both ends and the highest image.
    """

    protocol_file = 'barrier_check.yaml'

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outline and outputs."""
        super().define(spec)
        spec.input('path', valid_type=PathData, help='A finished path, with the energies of its potential.')
        spec.input('check', valid_type=Dict, serializer=to_aiida_type, help='Which images: ``ImageChoice``.')
        spec.expose_inputs(LabelWorkChain, namespace=LABEL, exclude=('frames',))
        spec.inputs.validator = refuse(check_barrier_check_inputs)
        spec.outline(cls.extract, cls.run_label, cls.compare)
        spec.output('check', valid_type=Dict, required=False, help='Both barriers, image by image, and warnings.')
        spec.output('images', valid_type=FramesData, help='What was to be labelled, as the potential has it.')
        spec.output('labelled', valid_type=FramesData, required=False, help='The images that have a label.')
        spec.output('report', valid_type=Dict, required=False, help='How the label of each image ended.')
        spec.default_output_node = 'check'
        register_exit_codes(spec, beside=LabelWorkChain.exit_codes)

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: AbstractCode,
        path: PathData,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | Path | str | None = None,
        settings: Mapping[str, Any] | None = None,
        backend: str | None = None,
        dataset: str | None = None,
        options: Mapping[str, Any] | None = None,
        computer: Computer | None = None,
        max_in_flight: int | None = None,
    ) -> Any:
        """Return a builder with every number of a protocol filled in.

        :param code: of DFT.
        :param overrides: what to change, like ``{'check': {'images': 'ends and saddle'}}`` or
            ``{'label': {'level': {'cutoff_ev': 600.0}}}``, or a YAML file.
        :param settings: of the back end; with ``backend``, ``dataset``, ``options``, ``computer`` and
            ``max_in_flight`` as ``litraj.label`` has them.
        :raises ValueError: if protocol, override or an input cannot be used, naming value and remedy.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        name = protocol or cls.get_default_protocol()
        choice = read_choice(inputs['check'])
        check_path(path, 'path')
        label = LabelWorkChain.get_builder_from_protocol(
            code, images_of(path, choice), **label_section(inputs[LABEL]), settings=settings, backend=backend,
            dataset=dataset, options=options, computer=computer, max_in_flight=max_in_flight,
        )  # fmt: skip
        builder = cls.get_builder()
        builder.path = path
        builder.check = Dict(choice.model_dump(mode='json'), label=name)
        fill_label(builder[LABEL], label)
        return builder

    def extract(self) -> None:
        """Take the images out of the path."""
        self.ctx.images = extract_images(
            self.inputs.path, self.inputs.check, metadata={'call_link_label': 'extract_images'}
        )
        self.out('images', self.ctx.images)

    def run_label(self) -> Any:
        """Label them."""
        earlier = submitted_before(self, LABEL)
        if earlier is not None:
            return ToContext(label=earlier)
        inputs = AttributeDict(self.exposed_inputs(LabelWorkChain, LABEL))
        inputs.frames = self.ctx.images
        inputs.metadata.call_link_label = LABEL
        return ToContext(label=self.submit(LabelWorkChain, **inputs))

    def compare(self) -> ExitCode | None:
        """Compare what was labelled, and end as the labelling did."""
        chain = self.ctx.label
        if 'report' in chain.outputs:
            self.out('report', chain.outputs.report)
        if 'frames' in chain.outputs:
            self.out('labelled', chain.outputs.frames)
            compared = compare_barrier(
                path=self.inputs.path,
                images=self.ctx.images,
                labelled=chain.outputs.frames,
                report=chain.outputs.report,
                metadata={'call_link_label': 'compare_barrier'},
            )
            self.out('check', compared)
        return ending_of(self, chain)


def label_section(section: Mapping[str, Any]) -> dict[str, Any]:
    """Return protocol and overrides of ``litraj.label`` from the section of another chain's protocol."""
    return {
        'protocol': section.get('protocol'),
        'overrides': {key: value for key, value in section.items() if key != 'protocol'},
    }


def fill_label(namespace: Any, label: Any) -> None:
    """Put the inputs of a builder of ``litraj.label`` into the namespace of a chain that runs it."""
    for key, value in label._inputs(prune=True).items():
        if key != 'frames':
            namespace[key] = value


def check_barrier_check_inputs(inputs: Mapping[str, Any]) -> None:
    """Refuse inputs that cannot be compared; those that are not there are not judged.

    :raises ValueError: naming the input, its value and the remedy.
    """
    path, check = inputs.get('path', None), inputs.get('check', None)
    if path is None or check is None:
        return
    check_path(path, 'path')
    images = images_of(path, read_choice(check.get_dict()))
    check_label_inputs({**(inputs.get(LABEL, None) or {}), 'frames': images})
