"""ResNets with torchvision's key names [1], because torchvision itself does not import beside a CPU build of torch.

A checkpoint of torchvision (or of any code that kept its names) loads as it is; only the classifier ``fc`` is left out.

[1] He et al., Deep Residual Learning for Image Recognition, CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3 (which carries the stride, as in torchvision) and 1x1 convolutions and a shortcut."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet(nn.Module):
    """Four residual stages behind a stem; ends at the feature map.

    Forward is :meth:`stem`, then :meth:`stages`.

    Args:
        block: the residual block.
        depths: blocks in each of the four stages.
        widths: channels of each stage, before the block's expansion.
        small_input: a 3x3 stem of stride 2 without max pooling, for crops of 48 to 64 px, so that the last map still
            has cells to tell places apart (stride 16 instead of 32).

    Attributes:
        out_channels: channels of the feature map.
        stride: input pixels per cell of the feature map.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: Sequence[int],
        widths: Sequence[int] = (64, 128, 256, 512),
        small_input: bool = False,
    ) -> None:
        super().__init__()
        kernel = 3 if small_input else 7
        self.conv1 = nn.Conv2d(3, widths[0], kernel, 2, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if small_input else nn.MaxPool2d(3, 2, 1)
        self.stride = 16 if small_input else 32
        self.out_channels = widths[0]
        self.layer1 = self._stage(block, depths[0], widths[0], 1)
        self.layer2 = self._stage(block, depths[1], widths[1], 2)
        self.layer3 = self._stage(block, depths[2], widths[2], 2)
        self.layer4 = self._stage(block, depths[3], widths[3], 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def _stage(self, block: type[BasicBlock] | type[Bottleneck], depth: int, width: int, stride: int) -> nn.Sequential:
        blocks = []
        for index in range(depth):
            out_channels = width * block.expansion
            step = stride if index == 0 else 1
            downsample = None
            if step != 1 or self.out_channels != out_channels:
                downsample = nn.Sequential(
                    nn.Conv2d(self.out_channels, out_channels, 1, step, bias=False), nn.BatchNorm2d(out_channels)
                )
            blocks.append(block(self.out_channels, width, step, downsample))
            self.out_channels = out_channels
        return nn.Sequential(*blocks)

    def forward(self, image: Tensor) -> Tensor:
        """Feature map (B, out_channels, H / stride, W / stride) of normalised images (B, 3, H, W)."""
        return self.stages(self.stem(image))

    def stem(self, image: Tensor) -> Tensor:
        """Early features (B, widths[0], h, w), at an eighth of the backbone's stride."""
        return self.maxpool(self.relu(self.bn1(self.conv1(image))))

    def stages(self, early: Tensor) -> Tensor:
        """From early features to the feature map."""
        return self.layer4(self.layer3(self.layer2(self.layer1(early))))
